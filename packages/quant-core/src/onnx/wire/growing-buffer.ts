import { TritforgeError } from '@tritforge/contracts';

/** Bytes that a length takes when its value is not known yet: a varint with padding, enough for any 32-bit length. */
export const PADDED_LENGTH_BYTES = 5;

/** An append-only byte buffer with an upper bound. */
export class GrowingBuffer {
  readonly #maxBytes: number;
  #bytes = new Uint8Array(4096);
  length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws TritforgeError MODEL_TOO_COMPLEX when the buffer would pass its bound */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.byteLength;
  }

  appendByte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = byte;
  }

  appendVarint(value: number): void {
    this.#reserve(10);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.length++] = (rest % 128) | 128;
    this.#bytes[this.length++] = rest;
  }

  /** Leaves room for a length that {@link patchLength} fills in. */
  appendPaddedLength(): number {
    this.#reserve(PADDED_LENGTH_BYTES);
    const at = this.length;
    this.length += PADDED_LENGTH_BYTES;
    return at;
  }

  patchLength(at: number): void {
    let rest = this.length - at - PADDED_LENGTH_BYTES;
    for (let i = 0; i < PADDED_LENGTH_BYTES; i++) {
      this.#bytes[at + i] = (rest & 127) | (i < PADDED_LENGTH_BYTES - 1 ? 128 : 0);
      rest >>>= 7;
    }
  }

  /** The bytes so far, as a view. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed > this.#maxBytes) {
      throw new TritforgeError(
        'MODEL_TOO_COMPLEX',
        `The model has more than ${this.#maxBytes} bytes besides tensor data`,
        {
          remediation: 'Store large constants as raw tensor data, or raise the limit of the service.',
        },
      );
    }
    if (needed <= this.#bytes.byteLength) return;
    const grown = new Uint8Array(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.byteLength * 2)));
    grown.set(this.view());
    this.#bytes = grown;
  }
}
