/**
 * 4-bit codes, two to a byte.
 *
 *   bit    7 6 5 4   3 2 1 0
 *        ┌─────────┬─────────┐
 *   byte │  v[1]   │  v[0]   │      two's complement: −7 = 0b1001, −1 = 0b1111, 7 = 0b0111
 *        └─────────┴─────────┘
 *
 * Byte i holds v[2i] in its low bits and v[2i+1] in its high ones. The unused half of the last byte is 0.
 */

/** Packs codes from −8 to 7. @throws RangeError for any other value */
export function pack4(codes: Int8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(codes.length / 2));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code < -8 || code > 7) throw new RangeError(`code ${i} is ${code}, not within −8 and 7`);
    bytes[i >> 1]! |= (code & 0b1111) << ((i & 1) * 4);
  }
  return bytes;
}

/**
 * The reverse of {@link pack4}.
 * @param count number of codes; the packed bytes do not tell it
 * @throws RangeError when the length does not fit
 */
export function unpack4(bytes: Uint8Array, count: number): Int8Array {
  if (bytes.length !== Math.ceil(count / 2)) {
    throw new RangeError(`${count} codes take ${Math.ceil(count / 2)} bytes, got ${bytes.length}`);
  }
  return Int8Array.from({ length: count }, (_, i) => (((bytes[i >> 1]! >> ((i & 1) * 4)) & 0b1111) << 28) >> 28);
}
