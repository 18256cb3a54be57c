import type { Histogram } from './histogram.js';
import { type Affine, affineFor } from './value-range.js';

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
 * The range whose quantization to 256 levels costs least. A grid over both ends finds the valley, steps that halve walk down into
 * it. Ties go to the wider range, so that values which the full range represents exactly keep it. No randomness: equal histograms
 * give equal ranges.
 */
export function searchEnds(
  histogram: Histogram,
  nonNegative: boolean,
  cost: (affine: Affine) => number,
): readonly [number, number] {
  const bottom = nonNegative ? 0 : Math.min(histogram.min, 0);
  const top = Math.max(histogram.max, 0);
  const ends = (clip: Clip) => [bottom * 2 ** -clip.low, top * 2 ** -clip.high] as const;
  const costOf = (clip: Clip) => cost(affineFor(...ends(clip), nonNegative));
  const start = bestOnGrid(costOf, bottom < 0, top > 0);
  return ends(descend(start, costOf, bottom < 0, top > 0));
}

interface Best {
  clip: Clip;
  cost: number;
}

function bestOnGrid(costOf: (clip: Clip) => number, moveLow: boolean, moveHigh: boolean): Best {
  let best: Best = { clip: { low: 0, high: 0 }, cost: costOf({ low: 0, high: 0 }) };
  for (let i = 0; i < (moveLow ? GRID_POINTS : 1); i++) {
    for (let j = 0; j < (moveHigh ? GRID_POINTS : 1); j++) {
      best = better(best, { low: i * GRID_STEP, high: j * GRID_STEP }, costOf);
    }
  }
  return best;
}

function descend(start: Best, costOf: (clip: Clip) => number, moveLow: boolean, moveHigh: boolean): Clip {
  let best = start;
  for (let step = GRID_STEP / 2; step >= FINEST_STEP; step /= 2) {
    let previous: Best;
    do {
      previous = best;
      if (moveHigh) best = bestOfNeighbours(best, { low: 0, high: step }, costOf);
      if (moveLow) best = bestOfNeighbours(best, { low: step, high: 0 }, costOf);
    } while (best !== previous);
  }
  return best.clip;
}

function bestOfNeighbours(best: Best, step: Clip, costOf: (clip: Clip) => number): Best {
  const { low, high } = best.clip;
  const wider = { low: Math.max(0, low - step.low), high: Math.max(0, high - step.high) };
  return better(better(best, wider, costOf), { low: low + step.low, high: high + step.high }, costOf);
}

function better(best: Best, clip: Clip, costOf: (clip: Clip) => number): Best {
  const candidate = costOf(clip);
  return candidate < best.cost ? { clip, cost: candidate } : best;
}
