/** Conversions of the 16-bit float formats, by bit pattern. Both directions are exact or round to nearest even. */

const scratch = new DataView(new ArrayBuffer(4));

/** IEEE 754 binary16 to a number. Exact. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** A number to IEEE 754 binary16, rounding to nearest even; overflow becomes infinity. */
export function numberToFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  // Spacing of the representable numbers around the magnitude; subnormals share that of the smallest normal.
  const exponent = Math.max(-14, exponentOf(magnitude));
  const steps = roundHalfEven(magnitude * 2 ** (10 - exponent));
  // A carry out of the fraction increments the exponent by plain addition.
  return sign | (steps + ((exponent + 14) << 10));
}

/** bfloat16 to a number. Exact. */
export function bfloat16ToNumber(bits: number): number {
  scratch.setUint32(0, (bits & 0xffff) * 0x10000);
  return scratch.getFloat32(0);
}

function exponentOf(magnitude: number): number {
  scratch.setFloat32(0, magnitude);
  const biased = (scratch.getUint32(0) >>> 23) & 0xff;
  return biased === 0 ? -149 : biased - 127;
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
