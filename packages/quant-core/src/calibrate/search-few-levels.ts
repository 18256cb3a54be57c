import type { Histogram } from './histogram.js';
import type { Affine, MaxCode } from './value-range.js';

/** Scales step by quarter octaves, from the one that covers all values down to 2^-(GRID_POINTS - 1)/4 of it. */
const GRID_POINTS = 26;
const GRID_STEP = 0.25;
/** The finest step of the refinement: 2^(1/64), about 1 % of the scale. */
const FINEST_STEP = 1 / 64;

/** The scale is that of the full range times 2^-octaves. */
interface Candidate {
  readonly octaves: number;
  readonly zeroPoint: number;
  readonly cost: number;
}

/**
 * The range whose quantization to a few levels costs least. With few levels an end that moves a little moves the zero point by a
 * whole level, so that a search over the two ends stops in the wrong place; this one tries every zero point and searches the best
 * scale for each. Ties go to the larger scale. The ends are levels and may lie beyond what was seen.
 */
export function searchFewLevels(
  histogram: Histogram,
  nonNegative: boolean,
  maxCode: MaxCode,
  cost: (affine: Affine) => number,
): readonly [number, number] {
  const bottom = nonNegative ? 0 : Math.min(histogram.min, 0);
  const top = Math.max(histogram.max, 0);
  const fullScale = top / maxCode - bottom / maxCode;
  if (fullScale === 0) return [0, 0];
  const candidate = (octaves: number, zeroPoint: number): Candidate => ({
    octaves,
    zeroPoint,
    cost: cost({ scale: fullScale * 2 ** -octaves, zeroPoint }),
  });
  const { octaves, zeroPoint } = zeroPoints(bottom, top, maxCode)
    .map((zero) => bestScale((at) => candidate(at, zero)))
    .reduce(better);
  const scale = fullScale * 2 ** -octaves;
  return [0 - zeroPoint * scale, (maxCode - zeroPoint) * scale];
}

function zeroPoints(bottom: number, top: number, maxCode: MaxCode): number[] {
  if (bottom === 0) return [0];
  if (top === 0) return [maxCode];
  return Array.from({ length: maxCode + 1 }, (_, code) => code);
}

function bestScale(candidate: (octaves: number) => Candidate): Candidate {
  let best = candidate(0);
  for (let i = 1; i < GRID_POINTS; i++) best = better(best, candidate(i * GRID_STEP));
  for (let step = GRID_STEP / 2; step >= FINEST_STEP; step /= 2) {
    const { octaves } = best;
    for (const neighbour of [octaves - step, octaves + step])
      if (neighbour >= 0) best = better(best, candidate(neighbour));
  }
  return best;
}

function better(best: Candidate, other: Candidate): Candidate {
  return other.cost < best.cost ? other : best;
}
