import type { ChannelGroups } from './grouping.js';

/**
 * Step 1: order the magnitudes of each group and sum them up.
 *
 *   a_1 ≥ a_2 ≥ … ≥ a_n = |w| sorted,   S_k = a_1 + … + a_k
 *
 * All groups of one output channel lie one after the other; the arrays are reused from channel to channel.
 */
export interface RankedGroups {
  /** Where group j starts in the arrays below. */
  readonly starts: Int32Array;
  /** a, descending within each group. */
  readonly magnitudes: Float32Array;
  /** S_k at the place of a_k; float64, so that neither huge nor denormal weights lose their sum. */
  readonly prefixSums: Float64Array;
}

/** Longest group that insertion sort orders faster than the typed array's own sort does. */
const INSERTION_SORT_LIMIT = 64;

/** Room for the groups of one output channel. */
export function createRankedGroups(groups: ChannelGroups): RankedGroups {
  const starts = new Int32Array(groups.groupCount);
  for (let j = 1; j < groups.groupCount; j++) starts[j] = starts[j - 1]! + groups.lengths[j - 1]!;
  return {
    starts,
    magnitudes: new Float32Array(groups.weightCount),
    prefixSums: new Float64Array(groups.weightCount),
  };
}

/** Fills `ranked` from the weights of the output channel that starts at `channelStart`. */
export function rankGroups(
  weights: Float32Array,
  channelStart: number,
  groups: ChannelGroups,
  ranked: RankedGroups,
): void {
  const { starts, magnitudes, prefixSums } = ranked;
  for (let j = 0; j < groups.groupCount; j++) {
    const start = starts[j]!;
    const length = groups.lengths[j]!;
    gather(weights, channelStart + groups.firstWeight[j]!, groups.stride, magnitudes, start, length);
    let sum = 0;
    for (let k = start; k < start + length; k++) {
      sum += magnitudes[k]!;
      prefixSums[k] = sum;
    }
  }
}

/** Copies |w| of one group to `magnitudes[start…]` in descending order. */
function gather(
  weights: Float32Array,
  first: number,
  stride: number,
  magnitudes: Float32Array,
  start: number,
  length: number,
): void {
  if (length > INSERTION_SORT_LIMIT) {
    for (let i = 0; i < length; i++) magnitudes[start + i] = Math.abs(weights[first + i * stride]!);
    magnitudes
      .subarray(start, start + length)
      .sort()
      .reverse();
    return;
  }
  for (let i = 0; i < length; i++) {
    const magnitude = Math.abs(weights[first + i * stride]!);
    let place = start + i;
    while (place > start && magnitudes[place - 1]! < magnitude) {
      magnitudes[place] = magnitudes[place - 1]!;
      place--;
    }
    magnitudes[place] = magnitude;
  }
}
