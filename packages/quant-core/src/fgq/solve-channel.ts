/** Steps 2, 4 and 5 for the groups of one output channel. */
import { rejectNonFinite } from '../int8/finite-weights.js';
import { chooseGroupCode } from './group-codes.js';
import type { ChannelGroups, WeightLayout } from './grouping.js';
import { type RankedGroups, rankGroups } from './ranked-groups.js';
import { bestPrefix } from './solve-group.js';
import type { TernaryPlane } from './ternarize.js';

/** Exact scales of the groups of one output channel, before they become codes. */
export interface ChannelSolution {
  readonly alphas: Float64Array;
  /** Non-zero codes of each group. */
  readonly counts: Int32Array;
}

/**
 * Ranks and solves every group of the output channel that starts at `channelStart`.
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function solveChannel(
  weights: Float32Array,
  channelStart: number,
  groups: ChannelGroups,
  ranked: RankedGroups,
): ChannelSolution {
  rankGroups(weights, channelStart, groups, ranked);
  const { starts, prefixSums } = ranked;
  const alphas = new Float64Array(groups.groupCount);
  const counts = new Int32Array(groups.groupCount);
  for (let j = 0; j < groups.groupCount; j++) {
    const start = starts[j]!;
    const length = groups.lengths[j]!;
    if (!Number.isFinite(prefixSums[start + length - 1]!)) rejectNonFinite(weights, channelStart, groups.weightCount);
    const count = bestPrefix(prefixSums, start, length);
    counts[j] = count;
    alphas[j] = count === 0 ? 0 : prefixSums[start + count - 1]! / count;
  }
  return { alphas, counts };
}

/** A plane of zeros. */
export function emptyPlane(layout: WeightLayout, groups: ChannelGroups): TernaryPlane {
  return {
    codes: new Int8Array(layout.outputChannels * groups.weightCount),
    groupCodes: new Uint8Array(layout.outputChannels * groups.groupCount),
  };
}

/** The part of a plane that belongs to one output channel; writing to it writes to the plane. */
export function planeOfChannel({ codes, groupCodes }: TernaryPlane, oc: number, groups: ChannelGroups): TernaryPlane {
  return {
    codes: codes.subarray(oc * groups.weightCount, (oc + 1) * groups.weightCount),
    groupCodes: groupCodes.subarray(oc * groups.groupCount, (oc + 1) * groups.groupCount),
  };
}

/** Chooses the codes of a ranked channel at its scale and writes them into `plane`. */
export function codeChannel(
  weights: Float32Array,
  channelStart: number,
  groups: ChannelGroups,
  ranked: RankedGroups,
  scale: number,
  plane: TernaryPlane,
): void {
  for (let j = 0; j < groups.groupCount; j++) {
    const code = chooseGroupCode(ranked.prefixSums, ranked.starts[j]!, groups.lengths[j]!, scale);
    plane.groupCodes[j] = code;
    writeCodes(weights, channelStart, groups, j, code * scale, plane.codes);
  }
}

/** t = sign(w) where |w| > α̂/2, for group j. */
function writeCodes(
  weights: Float32Array,
  channelStart: number,
  groups: ChannelGroups,
  j: number,
  roundedAlpha: number,
  codes: Int8Array,
): void {
  if (roundedAlpha === 0) return;
  const threshold = roundedAlpha / 2;
  const end = groups.firstWeight[j]! + groups.lengths[j]! * groups.stride;
  for (let at = groups.firstWeight[j]!; at < end; at += groups.stride) {
    const weight = weights[channelStart + at]!;
    codes[at] = weight > threshold ? 1 : weight < -threshold ? -1 : 0;
  }
}
