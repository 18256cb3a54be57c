/**
 * A second ternary plane on what the first one leaves.
 *
 *   W[oc, ic, tap] ≈ (t·c + t₂·c₂) · s[oc]      t₂ and c₂ like t and c,  c + c₂ ≤ MAX_GROUP_CODE
 *
 * Both planes share groups and channel scales, so that t·c + t₂·c₂ is exactly an int8 weight, like t·c alone. The second plane
 * is the exact one for w − t c s, the rounding of c included. Source: *Ternary Residual Networks*, arXiv 1707.04679; there
 * each plane has scales of its own.
 */
import { checkMinimumScales } from '../int8/weight-scale.js';
import { chooseChannelScale } from './channel-scale.js';
import { type ChannelGroups, checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from './grouping.js';
import { createRankedGroups, type RankedGroups, rankGroups } from './ranked-groups.js';
import { codeChannel, emptyPlane, planeOfChannel, solveChannel, writeCodes } from './solve-channel.js';
import type { TernarizeOptions, TernaryPlane, TernaryWeights } from './ternarize.js';

/**
 * Ternarizes a weight tensor with two planes.
 *
 * @param weights float32, row-major [OC, IC, taps]; not modified
 * @param groupSize N, input channels that share one scale of each plane
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 * @example ternarizeTwice(weights, { outputChannels: 64, inputChannels: 64, taps: 9 }, 64)
 */
export function ternarizeTwice(
  weights: Float32Array,
  layout: WeightLayout,
  groupSize: number,
  options: TernarizeOptions = {},
): TernaryWeights & { readonly residual: TernaryPlane } {
  checkLayout(weights.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(options.minimumScales, layout.outputChannels);

  const groups = groupsOfChannel(layout, groupSize);
  const ranked = createRankedGroups(groups);
  const plane = emptyPlane(layout, groups);
  const residual = emptyPlane(layout, groups);
  const channelScales = new Float32Array(layout.outputChannels);
  const rest = new Float32Array(groups.weightCount);

  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const start = oc * groups.weightCount;
    const [first, second] = [planeOfChannel(plane, oc, groups), planeOfChannel(residual, oc, groups)];
    const scale = Math.max(commonScale(weights, start, groups, ranked), options.minimumScales?.[oc] ?? 0);
    channelScales[oc] = scale;
    rankGroups(weights, start, groups, ranked);
    codeChannel(weights, start, groups, ranked, scale, first);
    rest.set(weights.subarray(start, start + groups.weightCount));
    subtractPlane(rest, groups, first.codes, (j) => first.groupCodes[j]! * scale);
    rankGroups(rest, 0, groups, ranked);
    codeChannel(rest, 0, groups, ranked, scale, second, first.groupCodes);
  }
  return { layout, groupSize, ...plane, residual, channelScales };
}

/** The scale that fits the exact α and α₂ of all groups of one output channel best, with room for α + α₂ in one group. */
function commonScale(weights: Float32Array, start: number, groups: ChannelGroups, ranked: RankedGroups): number {
  const first = solveChannel(weights, start, groups, ranked);
  const rest = weights.slice(start, start + groups.weightCount);
  const codes = new Int8Array(groups.weightCount);
  first.alphas.forEach((alpha, j) => {
    writeCodes(rest, 0, groups, j, alpha, codes);
  });
  subtractPlane(rest, groups, codes, (j) => first.alphas[j]!);
  return chooseChannelScale([first, solveChannel(rest, 0, groups, ranked)]);
}

/** rest − t·α, in place. */
function subtractPlane(
  rest: Float32Array,
  groups: ChannelGroups,
  codes: Int8Array,
  alphaOf: (group: number) => number,
): void {
  for (let j = 0; j < groups.groupCount; j++) {
    const alpha = alphaOf(j);
    const end = groups.firstWeight[j]! + groups.lengths[j]! * groups.stride;
    for (let at = groups.firstWeight[j]!; at < end; at += groups.stride) rest[at] = rest[at]! - codes[at]! * alpha;
  }
}
