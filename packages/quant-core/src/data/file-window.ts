import type { FileHandle } from 'node:fs/promises';
import { TritforgeError } from '@tritforge/contracts';

/** A range of an open file. */
export interface FileWindow {
  readonly handle: FileHandle;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Reads bytes of a window into memory of their own, so that any typed array can view them.
 * @param offset from the start of the window
 * @throws TritforgeError DATASET_CORRUPT when the file ends before
 */
export async function readWindow(
  window: FileWindow,
  offset: number,
  byteLength: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (offset < 0 || offset + byteLength > window.byteLength) throw endsEarly(window.offset + offset + byteLength);
  const bytes = new Uint8Array(byteLength);
  await readInto(window.handle, bytes, window.offset + offset);
  return bytes;
}

/**
 * Fills `bytes` from a position of a file.
 * @throws TritforgeError DATASET_CORRUPT when the file ends before
 */
export async function readInto(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) throw endsEarly(position + bytes.length);
    done += bytesRead;
  }
}

function endsEarly(wanted: number): TritforgeError {
  return new TritforgeError('DATASET_CORRUPT', `the dataset file ends before byte ${wanted}, which it says it has`, {
    remediation: 'Upload the file again; it is incomplete or damaged.',
  });
}
