import { type FileHandle, open } from 'node:fs/promises';

const BUFFER_BYTES = 256 * 1024;

/**
 * A forward cursor over a file of any size through one small buffer. Skipping does not read. Numbers are read without
 * awaiting: call {@link FileCursor.fill} first, which is needed only when fewer bytes are buffered than a field takes.
 */
export class FileCursor {
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #start = 0;
  #at = 0;
  #end = 0;

  private constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  static async open(path: string): Promise<FileCursor> {
    const file = await open(path, 'r');
    return new FileCursor(file, (await file.stat()).size);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.#start + this.#at;
  }

  get buffered(): number {
    return this.#end - this.#at;
  }

  /** Tops up the buffer to at least `wanted` bytes, or to the end of the file. */
  async fill(wanted: number): Promise<void> {
    if (this.buffered >= wanted) return;
    this.#start = this.position;
    this.#buffer.copyWithin(0, this.#at, this.#end);
    this.#end -= this.#at;
    this.#at = 0;
    while (this.#end < wanted) {
      const { bytesRead } = await this.#file.read(
        this.#buffer,
        this.#end,
        BUFFER_BYTES - this.#end,
        this.#start + this.#end,
      );
      if (bytesRead === 0) return;
      this.#end += bytesRead;
    }
  }

  /** The next byte, or -1 when the buffer is empty. */
  byte(): number {
    return this.#at < this.#end ? this.#buffer[this.#at++]! : -1;
  }

  /** Up to `maxBytes` of what is buffered; valid until the next fill. */
  take(maxBytes: number): Uint8Array {
    const piece = this.#buffer.subarray(this.#at, Math.min(this.#end, this.#at + maxBytes));
    this.#at += piece.byteLength;
    return piece;
  }

  /** Moves on without reading; the caller checks that the file is that long. */
  skip(bytes: number): void {
    if (bytes <= this.buffered) {
      this.#at += bytes;
      return;
    }
    this.#start = this.position + bytes;
    this.#at = 0;
    this.#end = 0;
  }
}
