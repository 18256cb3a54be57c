import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { TritforgeError } from '@tritforge/contracts';
import { extract, type Header } from 'tar-stream';
import {
  type Archive,
  type ArchiveMember,
  checkExpansion,
  isHousekeeping,
  memberGuard,
  safeMemberName,
  tooLarge,
  unsafeMember,
} from './archive.js';
import { type FileWindow, readWindow } from './file-window.js';
import type { DatasetLimits } from './limits.js';
import type { Scratch } from './scratch.js';
import { isZlibError } from './zip-archive.js';

const BLOCK_BYTES = 512;
const CHUNK_BYTES = 1 << 20;

/** A header and where the content of its member starts. */
interface LocatedHeader extends Header {
  readonly dataOffset: number;
}

/**
 * Indexes a tar by reading through it once.
 * @throws TritforgeError DATASET_CORRUPT, DATASET_PATH_INVALID, DATASET_TOO_LARGE
 */
export async function openTar(path: string, limits: DatasetLimits): Promise<Archive> {
  const handle = await open(path);
  try {
    const { size: fileBytes } = await handle.stat();
    const guard = memberGuard(fileBytes, limits);
    const members: ArchiveMember[] = [];
    let end = 0;
    for (const header of await readHeaders(path, limits)) {
      end = header.dataOffset + Math.ceil(header.size / BLOCK_BYTES) * BLOCK_BYTES;
      if (header.type === 'directory') continue;
      const name = safeMemberName(header.name);
      if (header.type !== 'file' && header.type !== 'contiguous-file') {
        throw unsafeMember(name, `it is no plain file but ${header.type ?? 'of an unknown type'}`);
      }
      if (isHousekeeping(name)) continue;
      guard(name, header.size);
      members.push(tarMember(name, { handle, offset: header.dataOffset, byteLength: header.size }));
    }
    await checkEnd({ handle, offset: 0, byteLength: fileBytes }, end);
    return { format: 'tar', members, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readHeaders(path: string, limits: DatasetLimits): Promise<LocatedHeader[]> {
  const parser = extract();
  const reading = pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), parser);
  reading.catch(() => undefined);
  const headers: LocatedHeader[] = [];
  try {
    for await (const member of parser) {
      headers.push({ ...member.header, dataOffset: member.offset + BLOCK_BYTES });
      if (headers.length > limits.maxMembers) throw tooLarge(`the archive has more than ${limits.maxMembers} members`);
      member.resume();
    }
    await reading;
  } catch (error) {
    throw error instanceof TritforgeError ? error : damagedTar((error as Error).message, error);
  }
  return headers;
}

function tarMember(name: string, window: FileWindow): ArchiveMember {
  return {
    name,
    sizeBytes: window.byteLength,
    read: () => readWindow(window, 0, window.byteLength),
    open: async () => window,
    verify: async () => undefined,
  };
}

/** A tar that was cut between two members looks whole but for the zero block that ends every tar. */
async function checkEnd(file: FileWindow, end: number): Promise<void> {
  const wanted = end + BLOCK_BYTES;
  const whole = wanted <= file.byteLength && (await readWindow(file, end, BLOCK_BYTES)).every((byte) => byte === 0);
  if (!whole) throw damagedTar(`it ends at byte ${file.byteLength} without the end mark`);
}

/**
 * Expands a gzip file into scratch space.
 * @returns the path of the expanded file
 * @throws TritforgeError DATASET_CORRUPT, DATASET_TOO_LARGE
 */
export async function gunzipToScratch(
  path: string,
  fileBytes: number,
  limits: DatasetLimits,
  scratch: Scratch,
): Promise<string> {
  let expandedBytes = 0;
  const meter = new Transform({
    transform(chunk: Uint8Array, _, done) {
      expandedBytes += chunk.length;
      try {
        checkExpansion(expandedBytes, fileBytes, limits);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  const target = await scratch.newFile();
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  try {
    await pipeline(source, createGunzip({ chunkSize: CHUNK_BYTES }), meter, createWriteStream(target));
  } catch (error) {
    throw isZlibError(error) ? damagedTar(`gzip: ${(error as Error).message}`, error) : error;
  }
  return target;
}

function damagedTar(why: string, cause?: unknown): TritforgeError {
  return new TritforgeError('DATASET_CORRUPT', `the tar archive is damaged: ${why}`, {
    remediation: 'Write the archive again, or upload it again.',
    cause,
  });
}
