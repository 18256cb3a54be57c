/**
 * START HERE: fine-grained ternary quantization (FGQ) of one weight tensor.
 *
 *   W[oc, ic, tap] ≈ t[oc, ic, tap] · c[oc, ⌊ic/N⌋, tap] · s[oc]      t ∈ {−1, 0, +1},  c ∈ {0 … 64},  s > 0
 *
 * Source: Mellempudi et al., *Ternary Neural Networks with Fine-Grained Quantization*, arXiv 1705.01462. It differs
 * in three points: groups are solved exactly instead of by a threshold heuristic, their scales are 8-bit codes, and
 * one scale serves both signs (at the optimum, separate thresholds cannot help).
 */
import { checkMinimumScales } from '../int8/weight-scale.js';
import { chooseChannelScale } from './channel-scale.js';
import { checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from './grouping.js';
import { createRankedGroups } from './ranked-groups.js';
import { codeChannel, emptyPlane, planeOfChannel, solveChannel } from './solve-channel.js';

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
  const plane = emptyPlane(layout, groups);
  const channelScales = new Float32Array(layout.outputChannels);

  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const channelStart = oc * groups.weightCount;
    const solution = solveChannel(weights, channelStart, groups, ranked);
    channelScales[oc] = Math.max(chooseChannelScale([solution]), options.minimumScales?.[oc] ?? 0);
    codeChannel(weights, channelStart, groups, ranked, channelScales[oc]!, planeOfChannel(plane, oc, groups));
  }
  return { layout, groupSize, ...plane, channelScales };
}
