import type { Cells, Histogram } from './histogram.js';
import type { Affine, MaxCode } from './value-range.js';

/** The values of a histogram, each taken at the middle of its bin. */
export interface Middles {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

/** The middles of all occupied bins. */
export function middlesOf(histogram: Histogram): Middles {
  const { lower, upper, counts }: Cells = histogram.cells();
  return { values: lower.map((low, i) => (low + (upper[i] as number)) / 2), counts };
}

/** Σ n·(x − x̂)² with x̂ = scale·(clamp(round(x / scale) + zeroPoint, 0, maxCode) − zeroPoint). */
export function squaredError({ values, counts }: Middles, { scale, zeroPoint }: Affine, maxCode: MaxCode): number {
  const lowest = -zeroPoint;
  const highest = maxCode - zeroPoint;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    const level = Math.min(highest, Math.max(lowest, Math.round(value / scale)));
    const difference = value - level * scale;
    sum += (counts[i] as number) * difference * difference;
  }
  return sum;
}
