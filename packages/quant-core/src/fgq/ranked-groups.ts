import type { ChannelGroups } from './grouping.js';

/**
 * Step 1: order the magnitudes of each group and sum them up.
 *
 *   a_1 ≥ a_2 ≥ … ≥ a_n = |w| sorted,   S_k = a_1 + … + a_k
 *
 * All groups of one output channel lie one after the other; the arrays are reused from channel to channel.
 */
export interface RankedGroups {
  /** Where the sums of group j start. */
  readonly starts: Int32Array;
  /** S_1 … S_n of each group; float64, so that neither huge nor denormal weights lose their sum. */
  readonly prefixSums: Float64Array;
  /** Scratch: a of one group. */
  readonly magnitudes: Float32Array;
}

/** Longest group that insertion sort orders faster than the typed array's own sort does. */
const INSERTION_SORT_LIMIT = 64;

/** Room for the groups of one output channel. */
export function createRankedGroups(groups: ChannelGroups): RankedGroups {
  const starts = new Int32Array(groups.groupCount);
  for (let j = 1; j < groups.groupCount; j++) starts[j] = starts[j - 1]! + groups.lengths[j - 1]!;
  return {
    starts,
    prefixSums: new Float64Array(groups.weightCount),
    magnitudes: new Float32Array(groups.lengths.reduce((a, b) => Math.max(a, b), 0)),
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
    rank(weights, channelStart + groups.firstWeight[j]!, groups.stride, length, magnitudes);
    let sum = 0;
    for (let i = 0; i < length; i++) {
      sum += magnitudes[i]!;
      prefixSums[start + i] = sum;
    }
  }
}

/** Writes |w| of one group in descending order. */
function rank(weights: Float32Array, first: number, stride: number, length: number, magnitudes: Float32Array): void {
  if (length > INSERTION_SORT_LIMIT) {
    for (let i = 0; i < length; i++) magnitudes[i] = Math.abs(weights[first + i * stride]!);
    magnitudes.subarray(0, length).sort().reverse();
    return;
  }
  for (let i = 0; i < length; i++) {
    const magnitude = Math.abs(weights[first + i * stride]!);
    let place = i;
    while (place > 0 && magnitudes[place - 1]! < magnitude) {
      magnitudes[place] = magnitudes[place - 1]!;
      place--;
    }
    magnitudes[place] = magnitude;
  }
}
