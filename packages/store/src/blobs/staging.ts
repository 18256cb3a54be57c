import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { StageOptions } from './blob-storage.js';
import { checkNotEmpty, checkSize, storageError } from './storage-errors.js';

/** Mode of content: nobody writes to it again, whatever name it is linked to. */
export const CONTENT_MODE = 0o444;
const HASH_CHUNK_BYTES = 1 << 20;

/** What is known of bytes once all of them are there. */
export interface Received {
  readonly digest: string;
  readonly sizeBytes: number;
}

/**
 * Streams a source into a new file and syncs it to disk. Memory is bounded by the chunks of the source: the next one is
 * read when the last one is written. On failure the file is gone; a source that is too long is left as it is, so that
 * its owner can still answer.
 */
export async function receive(source: Readable, path: string, options: StageOptions): Promise<Received> {
  const { maxBytes = Number.POSITIVE_INFINITY, signal } = options;
  const abort = (): void => {
    source.destroy(new Error('aborted'));
  };
  // The next read reports the error; until there is one, nobody else listens, and that would end the process.
  source.on('error', () => {});
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'wx', 0o600);
    const received = await copyChunks(source, file, maxBytes);
    await seal(file);
    return received;
  } catch (error) {
    await rm(path, { force: true });
    throw storageError(error);
  } finally {
    await file?.close();
    signal?.removeEventListener('abort', abort);
  }
}

async function copyChunks(source: Readable, file: FileHandle, maxBytes: number): Promise<Received> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const chunks = source.iterator({ destroyOnReturn: false });
  for (;;) {
    const { value, done } = await chunks.next().catch(incomplete);
    if (done) break;
    const chunk: Uint8Array = typeof value === 'string' ? Buffer.from(value) : value;
    sizeBytes += chunk.byteLength;
    checkSize(sizeBytes, maxBytes);
    hash.update(chunk);
    await file.writeFile(chunk);
  }
  checkNotEmpty(sizeBytes);
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}

/** An error of the source, which is the caller's when it has a code of its own. */
function incomplete(cause: unknown): never {
  if (cause instanceof TritforgeError) throw cause;
  throw new TritforgeError('UPLOAD_INCOMPLETE', 'The upload ended before all of it had arrived.', {
    remediation: 'Send the file again.',
    cause,
  });
}

/** Makes a complete file read-only and waits until it is on disk. */
async function seal(file: FileHandle): Promise<void> {
  await file.chmod(CONTENT_MODE);
  await file.sync();
}

/** Moves a file into place, copying it from another file system, then hashes it and syncs it to disk. */
export async function takeOver(from: string, path: string, options: StageOptions): Promise<Received> {
  const { maxBytes = Number.POSITIVE_INFINITY } = options;
  const { size } = await stat(from);
  checkNotEmpty(size);
  checkSize(size, maxBytes);
  try {
    await move(from, path);
    const received = await hashFile(path, options.signal);
    const file = await open(path, 'r');
    try {
      await seal(file);
    } finally {
      await file.close();
    }
    return received;
  } catch (error) {
    await rm(path, { force: true });
    throw storageError(error);
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await copyFile(from, to);
    await rm(from);
  }
}

async function hashFile(path: string, signal: AbortSignal | undefined): Promise<Received> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES, ...(signal && { signal }) })) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}
