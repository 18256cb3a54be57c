import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import { rethrowStorageError } from '../blobs/storage-errors.js';

const READ_CHUNK_BYTES = 1 << 20;

/** The bytes of uploads that arrive in pieces: one file each, whose size is what has arrived. Processes share the folder. */
export interface UploadFiles {
  /** Does nothing where there is one. @throws TritforgeError STORAGE_FULL */
  create(id: string): Promise<void>;
  /** How many bytes have arrived; null where there is no file. */
  sizeOf(id: string): Promise<number | null>;
  /**
   * Writes behind what has arrived, and syncs it to disk. What was written stays when the source breaks off, so that the client can go on
   * behind it; what does not have the digest that was announced for it goes.
   * @returns how many bytes have arrived now
   * @throws TritforgeError STORAGE_FULL; what the source fails with
   */
  append(id: string, offsetBytes: number, source: AsyncIterable<Uint8Array>): Promise<number>;
  open(id: string): Readable;
  /** Does nothing where there is no file. */
  remove(id: string): Promise<void>;
}

/** @param folder created when missing */
export async function openUploadFiles(folder: string): Promise<UploadFiles> {
  await mkdir(folder, { recursive: true });
  const pathOf = (id: string) => path.join(folder, id);
  return {
    create: async (id) => {
      await writeFile(pathOf(id), '', { flag: 'a', mode: 0o600 }).catch(rethrowStorageError);
    },
    sizeOf: async (id) => {
      try {
        return (await stat(pathOf(id))).size;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    append: async (id, offsetBytes, source) => {
      const file = await open(pathOf(id), 'r+');
      try {
        const arrivedBytes = await writeChunks(file, offsetBytes, source);
        await file.sync();
        return arrivedBytes;
      } catch (error) {
        if (error instanceof TritforgeError && error.code === 'DIGEST_MISMATCH') await file.truncate(offsetBytes);
        return rethrowStorageError(error);
      } finally {
        await file.close();
      }
    },
    open: (id) => createReadStream(pathOf(id), { highWaterMark: READ_CHUNK_BYTES }),
    remove: (id) => rm(pathOf(id), { force: true }),
  };
}

async function writeChunks(file: FileHandle, offsetBytes: number, source: AsyncIterable<Uint8Array>): Promise<number> {
  let position = offsetBytes;
  for await (const chunk of source) {
    for (let written = 0; written < chunk.byteLength; ) {
      const { bytesWritten } = await file.write(chunk, written, chunk.byteLength - written, position);
      written += bytesWritten;
      position += bytesWritten;
    }
  }
  return position;
}
