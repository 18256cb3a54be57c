import { type FileHandle, open } from 'node:fs/promises';
import { TritforgeError } from '@tritforge/contracts';
import type { Tensor, TensorBytes } from './tensor.js';

/** Node refuses single reads of 2 GiB and more; longer windows are read in pieces of this size. */
const MAX_READ_BYTES = 256 * 1024 * 1024;

/** Bytes of the data, without reading it. */
export function byteLengthOfData(data: TensorBytes): number {
  return data.kind === 'memory' ? data.bytes.byteLength : data.byteLength;
}

/**
 * The tensor's little-endian bytes, row-major, as in ONNX `raw_data`. Those in memory are returned without a copy and
 * must not be changed; a file window is read in full.
 * @throws TritforgeError MODEL_TRUNCATED when the file has become shorter since the model was read
 */
export async function readTensor(tensor: Tensor): Promise<Uint8Array> {
  const { data } = tensor;
  if (data.kind === 'memory') return data.bytes;
  const bytes = new Uint8Array(data.byteLength);
  const file = await open(data.path, 'r');
  try {
    await readFully(file, bytes, data.offset, data.path);
  } finally {
    await file.close();
  }
  return bytes;
}

/**
 * The tensor's bytes in pieces of at most `chunkBytes`, for data larger than memory. A piece is valid only until the
 * next one is asked for.
 * @throws TritforgeError MODEL_TRUNCATED when the file has become shorter since the model was read
 */
export async function* tensorChunks(tensor: Tensor, chunkBytes = 4 * 1024 * 1024): AsyncGenerator<Uint8Array> {
  const { data } = tensor;
  if (data.kind === 'memory') {
    for (let at = 0; at < data.bytes.byteLength; at += chunkBytes) yield data.bytes.subarray(at, at + chunkBytes);
    return;
  }
  const buffer = new Uint8Array(Math.min(chunkBytes, data.byteLength));
  const file = await open(data.path, 'r');
  try {
    for (let at = 0; at < data.byteLength; at += buffer.byteLength) {
      const piece = buffer.subarray(0, Math.min(buffer.byteLength, data.byteLength - at));
      await readFully(file, piece, data.offset + at, data.path);
      yield piece;
    }
  } finally {
    await file.close();
  }
}

async function readFully(file: FileHandle, target: Uint8Array, offset: number, path: string): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(MAX_READ_BYTES, target.byteLength - done);
    const { bytesRead } = await file.read(target, done, length, offset + done);
    if (bytesRead === 0) {
      throw new TritforgeError(
        'MODEL_TRUNCATED',
        `${path} ends at byte ${offset + done}, inside the data of a tensor`,
        {
          remediation: 'The file changed while it was in use; send it again.',
        },
      );
    }
    done += bytesRead;
  }
}
