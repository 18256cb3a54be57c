import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { crc32, createInflateRaw, inflateRaw } from 'node:zlib';
import { TritforgeError } from '@tritforge/contracts';
import yauzl from 'yauzl';
import {
  type Archive,
  type ArchiveMember,
  corruptMember,
  isHousekeeping,
  memberGuard,
  safeMemberName,
  tooLarge,
  unsafeMember,
} from './archive.js';
import { type FileWindow, readInto, readWindow } from './file-window.js';
import type { DatasetLimits } from './limits.js';
import type { Scratch } from './scratch.js';
import { checkNoOverlap, dataOffset } from './zip-local-header.js';

const STORED = 0;
const DEFLATED = 8;
const SYMLINK_MODE = 0o120000;
const CHUNK_BYTES = 1 << 20;

/**
 * Indexes a zip by its central directory, each entry checked against its local header.
 * @throws TritforgeError DATASET_CORRUPT, DATASET_PATH_INVALID, DATASET_TOO_LARGE, DATASET_FORMAT_UNKNOWN
 */
export async function openZip(path: string, limits: DatasetLimits, scratch: Scratch): Promise<Archive> {
  const handle = await open(path);
  try {
    const entries = await readCentralDirectory(path, limits);
    const offsets: number[] = [];
    for (const entry of entries) offsets.push(await dataOffset(handle, entry));
    const { size: fileBytes } = await handle.stat();
    checkNoOverlap(entries, offsets, fileBytes);
    const guard = memberGuard(fileBytes, limits);
    const members: ArchiveMember[] = [];
    for (const [i, entry] of entries.entries()) {
      const name = checkEntry(entry);
      if (name.endsWith('/') || isHousekeeping(name)) continue;
      guard(name, entry.uncompressedSize);
      members.push(zipMember(path, handle, name, entry, offsets[i]!, scratch));
    }
    return { format: 'zip', members, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function readCentralDirectory(path: string, limits: DatasetLimits): Promise<yauzl.Entry[]> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(zipError(error));
    yauzl.open(path, { lazyEntries: true }, (error, zip) => {
      if (error !== null) return fail(error);
      if (zip.entryCount > limits.maxMembers) {
        zip.close();
        return reject(tooLarge(`the archive has ${zip.entryCount} members; ${limits.maxMembers} are allowed`));
      }
      const entries: yauzl.Entry[] = [];
      zip.on('error', fail);
      zip.on('end', () => resolve(entries));
      zip.on('entry', (entry: yauzl.Entry) => {
        entries.push(entry);
        zip.readEntry();
      });
      zip.readEntry();
    });
  });
}

/** yauzl refuses unsafe names itself, by these messages. */
function zipError(error: Error): TritforgeError {
  const unsafe = /^(?:absolute path|invalid relative path|invalid characters in fileName): (.*)$/s.exec(error.message);
  if (unsafe !== null) return unsafeMember(unsafe[1]!, 'its path is absolute or climbs out of the archive');
  return new TritforgeError('DATASET_CORRUPT', `the zip archive is damaged: ${error.message}`, {
    remediation: 'Write the archive again, or upload it again.',
    cause: error,
  });
}

function checkEntry(entry: yauzl.Entry): string {
  const name = safeMemberName(entry.fileName);
  const mode = entry.externalFileAttributes >>> 16;
  if ((mode & 0o170000) === SYMLINK_MODE) throw unsafeMember(name, 'it is a symbolic link');
  if (entry.isEncrypted()) {
    throw new TritforgeError('DATASET_FORMAT_UNKNOWN', `archive member '${name}' is encrypted`, {
      field: name,
      remediation: 'Write the archive without a password.',
    });
  }
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED) {
    const method = entry.compressionMethod;
    throw new TritforgeError('DATASET_FORMAT_UNKNOWN', `archive member '${name}' uses compression method ${method}`, {
      field: name,
      remediation: 'Store the members or compress them with deflate.',
    });
  }
  return name;
}

function zipMember(
  path: string,
  handle: FileHandle,
  name: string,
  entry: yauzl.Entry,
  offset: number,
  scratch: Scratch,
): ArchiveMember {
  const raw: FileWindow = { handle, offset, byteLength: entry.compressedSize };
  const stored = entry.compressionMethod === STORED;
  return {
    name,
    sizeBytes: entry.uncompressedSize,
    async read() {
      const bytes = await readWindow(raw, 0, raw.byteLength);
      return checked(name, entry, stored ? bytes : await inflate(name, entry, bytes));
    },
    async open() {
      return stored
        ? raw
        : {
            handle: await inflateToFile(path, name, entry, offset, scratch),
            offset: 0,
            byteLength: entry.uncompressedSize,
          };
    },
    async verify() {
      if (stored) await verifyStored(name, entry, raw);
    },
  };
}

async function inflate(name: string, entry: yauzl.Entry, bytes: Uint8Array): Promise<Uint8Array> {
  try {
    return await promisify(inflateRaw)(bytes, { maxOutputLength: Math.max(1, entry.uncompressedSize) });
  } catch (error) {
    throw corruptMember(name, 'does not inflate to the size that the archive says', error);
  }
}

function checked(name: string, entry: yauzl.Entry, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== entry.uncompressedSize) throw corruptMember(name, 'has another size than the archive says');
  if (crc32(bytes) !== entry.crc32) throw corruptMember(name, 'does not match its checksum');
  return bytes;
}

async function verifyStored(name: string, entry: yauzl.Entry, raw: FileWindow): Promise<void> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, raw.byteLength));
  let checksum = 0;
  for (let done = 0; done < raw.byteLength; ) {
    const part = chunk.subarray(0, Math.min(chunk.length, raw.byteLength - done));
    await readInto(raw.handle, part, raw.offset + done);
    checksum = crc32(part, checksum);
    done += part.length;
  }
  if (checksum !== entry.crc32) throw corruptMember(name, 'does not match its checksum');
}

/** Expands a member into a scratch file and stops at the first byte beyond its declared size. */
async function inflateToFile(
  path: string,
  name: string,
  entry: yauzl.Entry,
  offset: number,
  scratch: Scratch,
): Promise<FileHandle> {
  let sizeBytes = 0;
  let checksum = 0;
  const meter = new Transform({
    transform(chunk: Uint8Array, _, done) {
      sizeBytes += chunk.length;
      checksum = crc32(chunk, checksum);
      done(sizeBytes > entry.uncompressedSize ? corruptMember(name, 'is larger than the archive says') : null, chunk);
    },
  });
  const target = await scratch.newFile();
  const end = offset + entry.compressedSize - 1;
  if (end < offset) throw corruptMember(name, 'is compressed to nothing');
  const source = createReadStream(path, { start: offset, end, highWaterMark: CHUNK_BYTES });
  try {
    await pipeline(source, createInflateRaw({ chunkSize: CHUNK_BYTES }), meter, createWriteStream(target));
  } catch (error) {
    throw isZlibError(error) ? corruptMember(name, 'cannot be inflated', error) : error;
  }
  if (sizeBytes !== entry.uncompressedSize) throw corruptMember(name, 'is smaller than the archive says');
  if (checksum !== entry.crc32) throw corruptMember(name, 'does not match its checksum');
  return scratch.open(target);
}

/** Whether zlib refused the data; other errors, such as a full disk, are not the dataset's fault. */
export function isZlibError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code?.startsWith('Z_') === true || code === 'ERR_BUFFER_TOO_LARGE';
}
