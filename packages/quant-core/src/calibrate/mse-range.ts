import type { Cells, Histogram } from './histogram.js';
import { affineFor, type MaxCode } from './value-range.js';

/** The grid steps by half octaves, down to 2^-(GRID_POINTS - 1)/2 of the full range on either end. */
const GRID_POINTS = 14;
const GRID_STEP = 0.5;
/** The finest step of the refinement: 2^(1/64), about 1 % of an end. */
const FINEST_STEP = 1 / 64;

/** How far each end is drawn in, in octaves: the range is [min·2^-low, max·2^-high]. */
interface Clip {
  readonly low: number;
  readonly high: number;
}

/**
 * The range whose quantization to maxCode + 1 levels has the least squared error over the values of the histogram, each taken at the
 * middle of its bin. A grid over both ends finds the valley, steps that halve walk down into it. Ties go to the wider
 * range, so that values which the full range represents exactly keep it. No randomness: equal histograms give equal
 * ranges.
 */
export function mseRange(histogram: Histogram, nonNegative: boolean, maxCode: MaxCode): readonly [number, number] {
  const bottom = nonNegative ? 0 : Math.min(histogram.min, 0);
  const top = Math.max(histogram.max, 0);
  const middles = takeMiddles(histogram.cells());
  const ends = (clip: Clip) => [bottom * 2 ** -clip.low, top * 2 ** -clip.high] as const;
  const error = (clip: Clip) => squaredError(middles, affineFor(...ends(clip), nonNegative, maxCode), maxCode);
  const start = bestOnGrid(error, bottom < 0, top > 0);
  return ends(descend(start, error, bottom < 0, top > 0));
}

interface Best {
  clip: Clip;
  error: number;
}

function bestOnGrid(error: (clip: Clip) => number, moveLow: boolean, moveHigh: boolean): Best {
  let best: Best = { clip: { low: 0, high: 0 }, error: error({ low: 0, high: 0 }) };
  for (let i = 0; i < (moveLow ? GRID_POINTS : 1); i++) {
    for (let j = 0; j < (moveHigh ? GRID_POINTS : 1); j++) {
      best = better(best, { low: i * GRID_STEP, high: j * GRID_STEP }, error);
    }
  }
  return best;
}

function descend(start: Best, error: (clip: Clip) => number, moveLow: boolean, moveHigh: boolean): Clip {
  let best = start;
  for (let step = GRID_STEP / 2; step >= FINEST_STEP; step /= 2) {
    let previous: Best;
    do {
      previous = best;
      if (moveHigh) best = bestOfNeighbours(best, { low: 0, high: step }, error);
      if (moveLow) best = bestOfNeighbours(best, { low: step, high: 0 }, error);
    } while (best !== previous);
  }
  return best.clip;
}

function bestOfNeighbours(best: Best, step: Clip, error: (clip: Clip) => number): Best {
  const { low, high } = best.clip;
  const wider = { low: Math.max(0, low - step.low), high: Math.max(0, high - step.high) };
  return better(better(best, wider, error), { low: low + step.low, high: high + step.high }, error);
}

function better(best: Best, clip: Clip, error: (clip: Clip) => number): Best {
  const candidate = error(clip);
  return candidate < best.error ? { clip, error: candidate } : best;
}

interface Middles {
  readonly values: Float64Array;
  readonly counts: Float64Array;
}

function takeMiddles({ lower, upper, counts }: Cells): Middles {
  return { values: lower.map((low, i) => (low + (upper[i] as number)) / 2), counts };
}

/** Σ n·(x − x̂)² with x̂ = scale·(clamp(round(x / scale) + zeroPoint, 0, maxCode) − zeroPoint). */
function squaredError(
  { values, counts }: Middles,
  { scale, zeroPoint }: { scale: number; zeroPoint: number },
  maxCode: MaxCode,
): number {
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
