import { open } from 'node:fs/promises';
import { type Tensor, tensorByteLength } from './ir/index.js';

/** Smaller tensors stay in memory. */
const SMALLEST_KEPT_BYTES = 1024 * 1024;
/** Node refuses single writes of 2 GiB and more. */
const LARGEST_WRITE_BYTES = 256 * 1024 * 1024;
/** Offset alignment that onnxruntime wants to map external data instead of copying it. */
const ALIGNMENT_BYTES = 4096;

/** A file that computed tensors move to, so that weights larger than memory never are in memory all at once. */
export class ScratchTensors {
  readonly #path: string;
  #endBytes = 0;

  /** @param path a file that does not exist yet and that the owner of its folder removes */
  constructor(path: string) {
    this.#path = path;
  }

  /** The same tensor, in the file if it is large. */
  async keep(tensor: Tensor): Promise<Tensor> {
    if (tensor.data.kind === 'file' || tensor.strings || tensorByteLength(tensor) < SMALLEST_KEPT_BYTES) return tensor;
    const { bytes } = tensor.data;
    const offset = this.#endBytes;
    const file = await open(this.#path, offset === 0 ? 'w' : 'r+');
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        const piece = bytes.subarray(at, at + LARGEST_WRITE_BYTES);
        at += (await file.write(piece, 0, piece.byteLength, offset + at)).bytesWritten;
      }
    } finally {
      await file.close();
    }
    this.#endBytes = Math.ceil((offset + bytes.byteLength) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return { ...tensor, data: { kind: 'file', path: this.#path, offset, byteLength: bytes.byteLength } };
  }
}
