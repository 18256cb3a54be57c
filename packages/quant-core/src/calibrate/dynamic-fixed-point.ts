import type { Histogram } from './histogram.js';
import type { MaxCode } from './value-range.js';

/**
 * Dynamic fixed point: the scale is a power of two, x ≈ q·2^e, the largest magnitude alone decides on e. With b bits
 *
 *   unsigned   e = ⌈log2 max|x|⌉ − b          q = 0 … 2^b − 1
 *   signed     e = ⌈log2 max|x|⌉ − (b − 1)    q = −2^(b−1) … 2^(b−1) − 1
 *
 * Codes are stored as uint8, so that signed ones have the zero point 2^(b−1). A largest value that is itself a power of two
 * is clipped to the largest code, one step below. Source: Mellempudi et al., arXiv 1701.08978, section 3.
 *
 * @returns the lowest and the highest level
 */
export function dynamicFixedPointRange(
  histogram: Histogram,
  nonNegative: boolean,
  maxCode: MaxCode,
): readonly [number, number] {
  const isUnsigned = nonNegative || histogram.min >= 0;
  const magnitude = isUnsigned ? histogram.max : Math.max(-histogram.min, histogram.max);
  if (!(magnitude > 0)) return [0, 0];
  const levels = maxCode + 1;
  const zeroPoint = isUnsigned ? 0 : levels / 2;
  const scale = 2 ** Math.ceil(Math.log2(magnitude)) / (levels - zeroPoint);
  return [0 - zeroPoint * scale, (maxCode - zeroPoint) * scale];
}
