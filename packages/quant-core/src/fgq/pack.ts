/**
 * Ternary codes, four to a byte.
 *
 *   bit    7 6     5 4     3 2     1 0
 *        ┌───────┬───────┬───────┬───────┐      −1 = 0b11
 *   byte │ t[3]  │ t[2]  │ t[1]  │ t[0]  │       0 = 0b00
 *        └───────┴───────┴───────┴───────┘      +1 = 0b01      0b10 does not occur
 *
 * Byte i holds t[4i … 4i+3]: low bits first, each code in two's complement. Codes follow the order of the weights
 * without a break, so a row may begin inside a byte. Unused bits of the last byte are 0.
 */

const CODES_PER_BYTE = 4;

/** Bytes that `count` packed codes take. */
export function packedByteLength(count: number): number {
  return Math.ceil(count / CODES_PER_BYTE);
}

/**
 * Packs codes −1, 0 and 1.
 * @throws RangeError for any other value
 */
export function pack2(codes: Int8Array): Uint8Array {
  const bytes = new Uint8Array(packedByteLength(codes.length));
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code < -1 || code > 1) throw new RangeError(`code ${i} is ${code}, not −1, 0 or 1`);
    bytes[i >> 2]! |= (code & 0b11) << ((i & 0b11) * 2);
  }
  return bytes;
}

/**
 * The reverse of {@link pack2}.
 * @param count number of codes; the packed bytes do not tell it
 * @throws RangeError when the length does not fit or a code is 0b10
 */
export function unpack2(bytes: Uint8Array, count: number): Int8Array {
  if (bytes.length !== packedByteLength(count)) {
    throw new RangeError(`${count} codes take ${packedByteLength(count)} bytes, got ${bytes.length}`);
  }
  const codes = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const code = (((bytes[i >> 2]! >> ((i & 0b11) * 2)) & 0b11) << 30) >> 30;
    if (code === -2) throw new RangeError(`code ${i} is 0b10, which is not a ternary code`);
    codes[i] = code;
  }
  return codes;
}
