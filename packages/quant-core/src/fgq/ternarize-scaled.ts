/**
 * Ternary weights whose scales are known, as in training that learns them.
 *
 *   t = sign(u) where |u| > 1/2, else 0          c = min(round(α / s), MAX_GROUP_CODE)          W = t · c · s
 *
 * with u the weights in units of the scale α of their group, and s the channel scale that rounds α least: see channel-scale.ts.
 * Source: Zhu et al., *Trained Ternary Quantization*, arXiv 1612.01064, with one scale for both signs and one for each group.
 */
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales } from '../int8/weight-scale.js';
import { chooseChannelScale } from './channel-scale.js';
import { MAX_GROUP_CODE } from './group-codes.js';
import { type ChannelGroups, checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from './grouping.js';
import { emptyPlane, planeOfChannel } from './solve-channel.js';
import type { TernarizeOptions, TernaryPlane, TernaryWeights } from './ternarize.js';

/** |u| above which a code is not zero. */
const THRESHOLD = 0.5;

/**
 * @param ratios u, row-major [OC, IC, taps]; not modified
 * @param scales α ≥ 0, [OC, G, taps]
 * @param groupSize N, input channels that share one scale
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function ternarizeScaled(
  ratios: Float32Array,
  scales: Float32Array,
  layout: WeightLayout,
  groupSize: number,
  { minimumScales }: TernarizeOptions = {},
): TernaryWeights {
  checkLayout(ratios.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(minimumScales, layout.outputChannels);
  const groups = groupsOfChannel(layout, groupSize);
  checkScales(scales, layout.outputChannels * groups.groupCount);
  const all = emptyPlane(layout, groups);
  const channelScales = new Float32Array(layout.outputChannels);
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const start = oc * groups.weightCount;
    const channel = ratios.subarray(start, start + groups.weightCount);
    if (!channel.every(Number.isFinite)) rejectNonFinite(ratios, start, groups.weightCount);
    const plane = planeOfChannel(all, oc, groups);
    const counts = writeCodes(channel, groups, plane);
    const own = scales.subarray(oc * groups.groupCount, (oc + 1) * groups.groupCount);
    const alphas = Float64Array.from(own, (alpha, j) => (counts[j] === 0 ? 0 : alpha));
    channelScales[oc] = Math.max(chooseChannelScale([{ alphas, counts }]), minimumScales?.[oc] ?? 0);
    writeGroupCodes(alphas, channelScales[oc]!, groups, plane);
  }
  return { layout, groupSize, ...all, channelScales };
}

/** @returns how many codes of each group are not zero */
function writeCodes(channel: Float32Array, groups: ChannelGroups, { codes }: TernaryPlane): Int32Array {
  const counts = new Int32Array(groups.groupCount);
  for (let j = 0; j < groups.groupCount; j++) {
    const end = groups.firstWeight[j]! + groups.lengths[j]! * groups.stride;
    for (let at = groups.firstWeight[j]!; at < end; at += groups.stride) {
      const ratio = channel[at]!;
      if (Math.abs(ratio) <= THRESHOLD) continue;
      codes[at] = Math.sign(ratio);
      counts[j]!++;
    }
  }
  return counts;
}

/** A group whose scale is rounded to nothing has no codes. */
function writeGroupCodes(
  alphas: Float64Array,
  scale: number,
  groups: ChannelGroups,
  { codes, groupCodes }: TernaryPlane,
): void {
  for (let j = 0; j < groups.groupCount; j++) {
    const code = Math.min(Math.round(alphas[j]! / scale), MAX_GROUP_CODE);
    groupCodes[j] = code;
    if (code > 0) continue;
    const end = groups.firstWeight[j]! + groups.lengths[j]! * groups.stride;
    for (let at = groups.firstWeight[j]!; at < end; at += groups.stride) codes[at] = 0;
  }
}

function checkScales(scales: Float32Array, count: number): void {
  if (scales.length !== count) throw new RangeError(`${count} groups need as many scales, got ${scales.length}`);
  const wrong = scales.findIndex((scale) => !(scale >= 0 && scale < Number.POSITIVE_INFINITY));
  if (wrong >= 0) throw new RangeError(`The scale of group ${wrong} is ${scales[wrong]}`);
}
