/**
 * START HERE: fine-grained ternary quantization (FGQ) of one weight tensor.
 *
 *   W[oc, ic, tap] ≈ t[oc, ic, tap] · c[oc, ⌊ic/N⌋, tap] · s[oc]      t ∈ {−1, 0, +1},  c ∈ {0 … 64},  s > 0
 *
 * Source: Mellempudi et al., *Ternary Neural Networks with Fine-Grained Quantization*, arXiv 1705.01462. It differs
 * in three points: groups are solved exactly instead of by a threshold heuristic, their scales are 8-bit codes, and
 * one scale serves both signs (at the optimum, separate thresholds cannot help).
 */
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales } from '../int8/weight-scale.js';
import { chooseChannelScale } from './channel-scale.js';
import { chooseGroupCode } from './group-codes.js';
import { type ChannelGroups, checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from './grouping.js';
import { createRankedGroups, type RankedGroups, rankGroups } from './ranked-groups.js';
import { bestPrefix } from './solve-group.js';

/** Ternary codes and the scales of their groups. */
export interface TernaryPlane {
  /** t ∈ {−1, 0, 1}, in the order of the weights: [OC, IC, taps]. All zero where the group code is 0. */
  readonly codes: Int8Array;
  /** c ∈ {0 … MAX_GROUP_CODE}, [OC, G, taps] with G = ⌈IC/N⌉. */
  readonly groupCodes: Uint8Array;
}

/** A ternary weight tensor. */
export interface TernaryWeights extends TernaryPlane {
  readonly layout: WeightLayout;
  /** N. */
  readonly groupSize: number;
  /**
   * A second plane on what the first one leaves, with the same channel scales: W ≈ (t·c + t₂·c₂)·s. Group by group c + c₂ is at most
   * MAX_GROUP_CODE. Source: *Ternary Residual Networks*, arXiv 1707.04679.
   */
  readonly residual?: TernaryPlane;
  /** s, [OC]; positive and finite, also where a channel is all zero. */
  readonly channelScales: Float32Array;
}

export interface TernarizeOptions {
  /**
   * Lower bound of the scale of each output channel, [OC]. A channel of tiny weights with a large bias needs one,
   * because the bias is stored as int32 in units of input scale × weight scale: see `smallestWeightScales`.
   */
  readonly minimumScales?: Float32Array | undefined;
}

/**
 * Ternarizes a weight tensor.
 *
 * The result depends on magnitudes, signs and layout alone: permuting weights within a group, or output channels,
 * permutes the result; negating weights negates codes; multiplying by a power of two multiplies the scales.
 *
 * @param weights float32, row-major [OC, IC, taps]; not modified
 * @param groupSize N, input channels that share one scale
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 * @example ternarize(weights, { outputChannels: 64, inputChannels: 64, taps: 9 }, 4)
 */
export function ternarize(
  weights: Float32Array,
  layout: WeightLayout,
  groupSize: number,
  options: TernarizeOptions = {},
): TernaryWeights {
  checkLayout(weights.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(options.minimumScales, layout.outputChannels);

  const groups = groupsOfChannel(layout, groupSize);
  const ranked = createRankedGroups(groups);
  const codes = new Int8Array(weights.length);
  const groupCodes = new Uint8Array(layout.outputChannels * groups.groupCount);
  const channelScales = new Float32Array(layout.outputChannels);

  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const channelStart = oc * groups.weightCount;
    rankGroups(weights, channelStart, groups, ranked);
    const { alphas, counts } = solveChannel(weights, channelStart, groups, ranked);
    channelScales[oc] = Math.max(chooseChannelScale(alphas, counts), options.minimumScales?.[oc] ?? 0);
    const scale = channelScales[oc]!;
    for (let j = 0; j < groups.groupCount; j++) {
      const code = chooseGroupCode(ranked.prefixSums, ranked.starts[j]!, groups.lengths[j]!, scale);
      groupCodes[oc * groups.groupCount + j] = code;
      const first = channelStart + groups.firstWeight[j]!;
      writeCodes(weights, codes, first, groups.stride, groups.lengths[j]!, code * scale);
    }
  }
  return { layout, groupSize, codes, groupCodes, channelScales };
}

/** Step 2 for every group of one output channel. */
function solveChannel(
  weights: Float32Array,
  channelStart: number,
  groups: ChannelGroups,
  { starts, prefixSums }: RankedGroups,
): { alphas: Float64Array; counts: Int32Array } {
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

/** Step 5: t = sign(w) where |w| > α̂/2, for one group. */
function writeCodes(
  weights: Float32Array,
  codes: Int8Array,
  first: number,
  stride: number,
  length: number,
  roundedAlpha: number,
): void {
  if (roundedAlpha === 0) return;
  const threshold = roundedAlpha / 2;
  for (let i = 0, at = first; i < length; i++, at += stride) {
    const weight = weights[at]!;
    codes[at] = weight > threshold ? 1 : weight < -threshold ? -1 : 0;
  }
}
