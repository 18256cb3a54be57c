/**
 * Uniform 2-bit codes, four to a byte.
 *
 *   bit    7 6     5 4     3 2     1 0
 *        ┌───────┬───────┬───────┬───────┐      k = (v + 3) / 2:   −3 = 0b00   −1 = 0b01
 *   byte │ k[3]  │ k[2]  │ k[1]  │ k[0]  │                         +1 = 0b10   +3 = 0b11
 *        └───────┴───────┴───────┴───────┘
 *
 * Byte i holds the codes 4i … 4i+3, low bits first, as ternary codes lie (fgq/pack.ts). Unused bits of the last byte are 0.
 */
import { packedByteLength } from '../fgq/index.js';

/** Packs codes −3, −1, 1 and 3. @throws RangeError for any other value */
export function packInt2(codes: Int8Array): Uint8Array {
  const bytes = new Uint8Array(packedByteLength(codes.length));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code < -3 || code > 3 || (code & 1) === 0) throw new RangeError(`code ${i} is ${code}, not −3, −1, 1 or 3`);
    bytes[i >> 2]! |= ((code + 3) >> 1) << ((i & 0b11) * 2);
  }
  return bytes;
}

/**
 * The reverse of {@link packInt2}.
 * @param count number of codes; the packed bytes do not tell it
 * @throws RangeError when the length does not fit
 */
export function unpackInt2(bytes: Uint8Array, count: number): Int8Array {
  if (bytes.length !== packedByteLength(count)) {
    throw new RangeError(`${count} codes take ${packedByteLength(count)} bytes, got ${bytes.length}`);
  }
  return Int8Array.from({ length: count }, (_, i) => 2 * ((bytes[i >> 2]! >> ((i & 0b11) * 2)) & 0b11) - 3);
}
