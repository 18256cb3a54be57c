/**
 * Two ternary planes for one weight tensor.
 *
 *   W[oc, ic, tap] ≈ (t·c + t₂·c₂) · s[oc]      t₂ and c₂ like t and c,  c + c₂ ≤ MAX_GROUP_CODE
 *
 * Both planes share groups and channel scales, so that t·c + t₂·c₂ is exactly an int8 weight, like t·c alone. Source: *Ternary
 * Residual Networks*, arXiv 1707.04679; there the second plane is put on what the first one leaves, and has scales of its own.
 */
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales } from '../int8/weight-scale.js';
import { chooseChannelScale } from './channel-scale.js';
import { type ChannelGroups, checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from './grouping.js';
import { createRankedGroups, type RankedGroups, rankGroups } from './ranked-groups.js';
import { type ChannelSolution, emptyPlane, planeOfChannel } from './solve-channel.js';
import type { TernarizeOptions, TernaryPlane, TernaryWeights } from './ternarize.js';
import { TwoScaleSearch } from './two-scales.js';

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
  const search = new TwoScaleSearch(ranked.prefixSums);
  const plane = emptyPlane(layout, groups);
  const residual = emptyPlane(layout, groups);
  const channelScales = new Float32Array(layout.outputChannels);

  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const channelStart = oc * groups.weightCount;
    rankGroups(weights, channelStart, groups, ranked);
    if (!ranked.prefixSums.every(Number.isFinite)) rejectNonFinite(weights, channelStart, groups.weightCount);
    const [first, second] = solveGroups(groups, ranked, search);
    const scale = Math.max(chooseChannelScale([first, second]), options.minimumScales?.[oc] ?? 0);
    channelScales[oc] = scale;
    const channel = weights.subarray(channelStart, channelStart + groups.weightCount);
    const planes = [planeOfChannel(plane, oc, groups), planeOfChannel(residual, oc, groups)] as const;
    for (let j = 0; j < groups.groupCount; j++) {
      search.code(ranked.starts[j]!, groups.lengths[j]!, [first.alphas[j]!, second.alphas[j]!], scale);
      planes[0].groupCodes[j] = search.firstCode;
      planes[1].groupCodes[j] = search.secondCode;
      writeNearest(channel, groups, j, scale, planes);
    }
  }
  return { layout, groupSize, ...plane, residual, channelScales };
}

/** Exact scales of both planes for every group of one output channel. */
function solveGroups(
  groups: ChannelGroups,
  { starts }: RankedGroups,
  search: TwoScaleSearch,
): [ChannelSolution, ChannelSolution] {
  const empty = () => ({ alphas: new Float64Array(groups.groupCount), counts: new Int32Array(groups.groupCount) });
  const [first, second] = [empty(), empty()];
  for (let j = 0; j < groups.groupCount; j++) {
    search.solve(starts[j]!, groups.lengths[j]!);
    first.alphas[j] = search.first;
    first.counts[j] = search.firstCount;
    second.alphas[j] = search.second;
    second.counts[j] = search.secondCount;
  }
  return [first, second];
}

/** t and t₂ of one group: the level that is nearest to each weight, the smaller of two. */
function writeNearest(
  channel: Float32Array,
  groups: ChannelGroups,
  j: number,
  scale: number,
  [first, second]: readonly [TernaryPlane, TernaryPlane],
): void {
  const [c, c2] = [first.groupCodes[j]!, second.groupCodes[j]!];
  if (c === 0) return;
  const top = ((2 * c + c2) / 2) * scale;
  const [upper, lower] = c2 > c - c2 ? [c2, c - c2] : [c - c2, c2];
  const [overUpper, overLower, overZero] = [((c + upper) / 2) * scale, (c / 2) * scale, (lower / 2) * scale];
  const end = groups.firstWeight[j]! + groups.lengths[j]! * groups.stride;
  for (let at = groups.firstWeight[j]!; at < end; at += groups.stride) {
    const magnitude = Math.abs(channel[at]!);
    const sign = channel[at]! < 0 ? -1 : 1;
    const code = magnitude > overUpper ? c : magnitude > overLower ? upper : magnitude > overZero ? lower : 0;
    if (magnitude > top && c2 > 0) first.codes[at] = second.codes[at] = sign;
    else if (code === c) first.codes[at] = sign;
    else if (code === 0) continue;
    else if (code === c2) second.codes[at] = sign;
    else {
      first.codes[at] = sign;
      second.codes[at] = -sign;
    }
  }
}
