import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** A file read by position. Synchronous: it is used for small pieces while a graph is put together. */
export class SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #descriptor: number;

  constructor(path: string) {
    this.path = path;
    this.#descriptor = openSync(path, 'r');
    this.sizeBytes = fstatSync(this.#descriptor).size;
  }

  /** The bytes from `offset`; fewer when the file ends before. */
  read(offset: number, byteLength: number): Uint8Array {
    const bytes = new Uint8Array(byteLength);
    let done = 0;
    while (done < byteLength) {
      const count = readSync(this.#descriptor, bytes, done, byteLength - done, offset + done);
      if (count === 0) return bytes.subarray(0, done);
      done += count;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
