import type { ActivationRange } from '@tritforge/contracts';

/** Smallest scale given out: its reciprocal and its product with a weight scale stay normal float32 numbers. */
const SMALLEST_SCALE = 2 ** -60;

/** Largest code of a quantized activation: 255 with 8 bits, 15 with 4, 7 with 3, 3 with 2. All are stored as uint8. */
export type MaxCode = 255 | 15 | 7 | 3;

/** How the range of an activation is chosen from its statistics alone. */
export type RangeMethod = Exclude<ActivationRange, 'auto'>;

/**
 * The observed and the chosen range of a value, with the quantization q = clamp(round(x / scale) + zeroPoint, 0, maxCode)
 * that covers it.
 */
export interface ValueRange {
  /** Smallest value seen. */
  readonly min: number;
  /** Largest value seen. */
  readonly max: number;
  /** Lower end of the chosen range, at most 0. */
  readonly chosenMin: number;
  /** Upper end of the chosen range, at least 0. */
  readonly chosenMax: number;
  /** Exact as float32, above 0. */
  readonly scale: number;
  /** From 0 to maxCode; 0 when no value is below zero. */
  readonly zeroPoint: number;
  readonly maxCode: MaxCode;
}

/** q = clamp(round(x / scale) + zeroPoint, 0, maxCode). */
export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * The asymmetric quantization of [low, high], which is widened to hold zero. A range of no width (all values
 * zero) gets scale 1; the scale is rounded to float32, as models store it.
 * @param nonNegative the value comes out of a ReLU: the zero point is 0 whatever `low` says
 */
export function affineFor(low: number, high: number, nonNegative = false, maxCode: MaxCode = 255): Affine {
  const bottom = nonNegative ? 0 : Math.min(low, 0);
  const top = Math.max(high, 0);
  if (bottom === top) return { scale: 1, zeroPoint: 0 };
  const scale = Math.max(Math.fround(top / maxCode - bottom / maxCode), SMALLEST_SCALE);
  return { scale, zeroPoint: Math.min(maxCode, Math.max(0, Math.round(-bottom / scale))) };
}
