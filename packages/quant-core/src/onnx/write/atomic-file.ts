import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type TensorBytes, tensorChunks } from '../../ir/index.js';
import type { FilePart } from './expand.js';

/** A file that was written: its name without folder, its size, and `sha256:<hex>` of its bytes. */
export interface WrittenFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly digest: string;
}

const MAX_WRITE_BYTES = 64 * 1024 * 1024;
const BATCH_BYTES = 1024 * 1024;
const BATCH_BUFFERS = 512;

/**
 * A file that appears under its name only when it is complete: written beside it, then renamed. Many small pieces go
 * out in one call; large ones are written where they lie.
 */
export class AtomicFile {
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash('sha256');
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  sizeBytes = 0;

  private constructor(path: string, temporaryPath: string, file: FileHandle) {
    this.#path = path;
    this.#temporaryPath = temporaryPath;
    this.#file = file;
  }

  static async create(path: string): Promise<AtomicFile> {
    const temporaryPath = `${path}.${process.pid}.partial`;
    return new AtomicFile(path, temporaryPath, await open(temporaryPath, 'w'));
  }

  async write(part: FilePart): Promise<void> {
    if (part instanceof Uint8Array) await this.#push(part);
    else if (part.kind === 'memory') await this.#writeNow(part.bytes);
    else for await (const piece of tensorChunks(asTensor(part))) await this.#writeNow(piece);
  }

  /** Pads with zeros up to the offset. */
  async padTo(offset: number): Promise<void> {
    if (offset > this.sizeBytes) await this.#push(new Uint8Array(offset - this.sizeBytes));
  }

  /** Puts the file under its name. @param durable whether to wait until it is on the disk */
  async commit(durable: boolean): Promise<WrittenFile> {
    await this.#flush();
    if (durable) await this.#file.sync();
    await this.#file.close();
    await rename(this.#temporaryPath, this.#path);
    if (durable) await syncDirectory(dirname(this.#path));
    return {
      name: basename(this.#path),
      sizeBytes: this.sizeBytes,
      digest: `sha256:${this.#hash.digest('hex')}`,
    };
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    await this.#file.close();
    await rm(this.#temporaryPath, { force: true });
  }

  async #push(bytes: Uint8Array): Promise<void> {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.byteLength;
    this.sizeBytes += bytes.byteLength;
    if (this.#batchBytes >= BATCH_BYTES || this.#batch.length >= BATCH_BUFFERS) await this.#flush();
  }

  async #flush(): Promise<void> {
    let rest = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    for (const bytes of rest) this.#hash.update(bytes);
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest);
      rest = after(rest, bytesWritten);
    }
  }

  async #writeNow(bytes: Uint8Array): Promise<void> {
    await this.#flush();
    this.sizeBytes += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) {
      const piece = bytes.subarray(at, at + MAX_WRITE_BYTES);
      const { bytesWritten } = await this.#file.write(piece);
      this.#hash.update(piece.subarray(0, bytesWritten));
      at += bytesWritten;
    }
  }
}

/** What remains of the buffers after a short write. */
function after(buffers: readonly Uint8Array[], writtenBytes: number): Uint8Array[] {
  let left = writtenBytes;
  return buffers.flatMap((bytes) => {
    const written = Math.min(left, bytes.byteLength);
    left -= written;
    return written === bytes.byteLength ? [] : [bytes.subarray(written)];
  });
}

function asTensor(data: TensorBytes & { kind: 'file' }) {
  return { dtype: 'uint8' as const, shape: [data.byteLength], data };
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
