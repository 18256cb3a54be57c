import { EMPTY_CHANNEL_SCALE, storableScale } from '../int8/weight-scale.js';
import { MAX_GROUP_CODE } from './group-codes.js';
import type { ChannelSolution } from './solve-channel.js';

/**
 * Step 3: the scale that the group codes of one output channel share.
 *
 *   minimise over s   Σ_g k_g (α_g − c_g s)²      c_g = min(round(α_g / s), MAX_GROUP_CODE)
 *
 * The sum is what rounding α to c·s adds to the squared error of group g when its k_g weights stay the same ones.
 * Start: the scale that gives the largest α the largest code. A search around it finds a grid that the heavy groups
 * happen to fit; then c and s are improved in turn, each the exact optimum given the other:
 *
 *   s = Σ_g k_g c_g α_g / Σ_g k_g c_g²
 *
 * Of two planes the sums run over the groups of both, and a group's second code has at most what the first one leaves of
 * MAX_GROUP_CODE.
 *
 * On Gaussian and Laplace weights this adds at most 5 %, mostly under 1 %, to the cost of the best of 2000 scales.
 */

/** The search covers these multiples of the starting scale; wider ranges were no better. */
const SMALLEST_SHARE = 0.9;
const LARGEST_SHARE = 1.1;
const SEARCH_STEPS = 32;
const REFINEMENTS = 3;

/**
 * Chooses s for one output channel; a positive float32.
 * @param planes exact scales of the groups in each plane, at most two
 */
export function chooseChannelScale(planes: readonly ChannelSolution[]): number {
  const largest = largestSum(planes);
  if (largest === 0) return EMPTY_CHANNEL_SCALE;
  const start = largest / MAX_GROUP_CODE;
  let scale = start;
  let leastError = roundingError(planes, start);
  for (let step = 0; step < SEARCH_STEPS; step++) {
    const candidate = start * (SMALLEST_SHARE + ((LARGEST_SHARE - SMALLEST_SHARE) * step) / SEARCH_STEPS);
    const error = roundingError(planes, candidate);
    if (error < leastError) {
      scale = candidate;
      leastError = error;
    }
  }
  for (let pass = 0; pass < REFINEMENTS; pass++) scale = bestScaleForCodes(planes, scale);
  return storableScale(scale, MAX_GROUP_CODE);
}

/** The largest scale of a group, its planes together. */
function largestSum(planes: readonly ChannelSolution[]): number {
  const [first, second] = planes;
  return first!.alphas.reduce((most, alpha, g) => Math.max(most, alpha + (second?.alphas[g] ?? 0)), 0);
}

/** Σ_g k_g (α_g − c_g s)². */
function roundingError([first, second]: readonly ChannelSolution[], scale: number): number {
  let error = 0;
  for (let g = 0; g < first!.alphas.length; g++) {
    const code = codeOf(first!.alphas[g]!, scale, MAX_GROUP_CODE);
    const rest = first!.alphas[g]! - code * scale;
    error += first!.counts[g]! * rest * rest;
    if (second === undefined) continue;
    const secondRest = second.alphas[g]! - codeOf(second.alphas[g]!, scale, MAX_GROUP_CODE - code) * scale;
    error += second.counts[g]! * secondRest * secondRest;
  }
  return error;
}

/** Σ_g k_g c_g α_g / Σ_g k_g c_g² for the codes that `scale` leads to. The largest α has a positive code. */
function bestScaleForCodes([first, second]: readonly ChannelSolution[], scale: number): number {
  let numerator = 0;
  let denominator = 0;
  for (let g = 0; g < first!.alphas.length; g++) {
    const code = codeOf(first!.alphas[g]!, scale, MAX_GROUP_CODE);
    numerator += first!.counts[g]! * code * first!.alphas[g]!;
    denominator += first!.counts[g]! * code * code;
    if (second === undefined) continue;
    const secondCode = codeOf(second.alphas[g]!, scale, MAX_GROUP_CODE - code);
    numerator += second.counts[g]! * secondCode * second.alphas[g]!;
    denominator += second.counts[g]! * secondCode * secondCode;
  }
  return numerator / denominator;
}

/** min(round(α / s), largest); α / s is far below 2³¹, so that `| 0` rounds down faster than Math.round does. */
function codeOf(alpha: number, scale: number, largest: number): number {
  const code = (alpha / scale + 0.5) | 0;
  return code < largest ? code : largest;
}
