/**
 * Symmetric 4-bit weights with one scale per group, the established format that ternary weights are measured against.
 *
 *   W[oc, ic, tap] ≈ v[oc, ic, tap] · c[oc, ⌊ic/N⌋, tap] · s[oc]      v ∈ {−7 … 7},  c ∈ {0 … 18},  s > 0
 *
 * Groups are those of ternary weights (fgq/grouping.ts). Scales are codes as there, so that v·c is exactly an int8 weight of the
 * per-channel scale s. 18 is the largest code with 7·c within int8. Against a scale of its own for every group, each chosen for the
 * least squared error, that costs on i.i.d. weights 1.5 to 4 % of the squared error at N = 32 to 128, which stays 10 to 20 %
 * below that of scales from the largest weight of each group.
 */
import { checkGroupSize, checkLayout, groupsOfChannel, type WeightLayout } from '../fgq/grouping.js';
import type { GroupedWeights } from '../fgq/index.js';
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales, EMPTY_CHANNEL_SCALE, storableScale } from '../int8/weight-scale.js';

/** A weight tensor in 4 bits: `codes` are v, `groupCodes` are c. */
export type Int4Weights = Omit<GroupedWeights, 'residual'>;

export interface Int4Options {
  /** Lower bound of the scale of each output channel, [OC]: see `smallestWeightScales`. */
  readonly minimumScales?: Float32Array | undefined;
}

const LARGEST_CODE = 7;
/** Largest group code: 7·18 = 126. */
export const LARGEST_INT4_GROUP_CODE = 18;

/** The search for the scale of a group covers these multiples of the one that clips nothing. */
const SMALLEST_GROUP_SHARE = 0.65;
const GROUP_STEPS = 16;
/** That for the scale of a channel covers these multiples of the one that gives the largest group the largest code. */
const SMALLEST_SHARE = 0.86;
const LARGEST_SHARE = 1.1;
const SEARCH_STEPS = 12;

/**
 * Quantizes a weight tensor to 4 bits.
 *
 * @param weights float32, row-major [OC, IC, taps]; not modified
 * @param groupSize N, input channels that share one scale
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function quantizeInt4(
  weights: Float32Array,
  layout: WeightLayout,
  groupSize: number,
  { minimumScales }: Int4Options = {},
): Int4Weights {
  checkLayout(weights.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(minimumScales, layout.outputChannels);
  const groups = groupsOfChannel(layout, groupSize);
  const codes = new Int8Array(weights.length);
  const groupCodes = new Uint8Array(layout.outputChannels * groups.groupCount);
  const channelScales = new Float32Array(layout.outputChannels);
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const start = oc * groups.weightCount;
    const channel = weights.subarray(start, start + groups.weightCount);
    if (!channel.every(Number.isFinite)) rejectNonFinite(weights, start, groups.weightCount);
    const gathered = gather(channel, groups.firstWeight, groups.lengths, groups.stride);
    const scale = Math.max(chooseScale(gathered), minimumScales?.[oc] ?? 0);
    channelScales[oc] = scale;
    gathered.forEach((group, j) => {
      const { code } = bestCode(group, scale);
      groupCodes[oc * groups.groupCount + j] = code;
      const first = start + groups.firstWeight[j]!;
      if (code > 0) write(group.weights, code * scale, codes, first, groups.stride);
    });
  }
  return { layout, groupSize, codes, groupCodes, channelScales };
}

/** The weights of a group next to each other, and the scale that would be best for it alone; 0 for a group of zeros. */
interface Group {
  readonly weights: Float32Array;
  readonly ideal: number;
}

function gather(channel: Float32Array, first: Int32Array, lengths: Int32Array, stride: number): Group[] {
  return Array.from(lengths, (length, j) => {
    const weights = new Float32Array(length);
    for (let i = 0; i < length; i++) weights[i] = channel[first[j]! + i * stride]!;
    return { weights, ideal: idealScale(weights) };
  });
}

function idealScale(weights: Float32Array): number {
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  let best = 0;
  let leastError = Number.POSITIVE_INFINITY;
  for (let step = 0; largest > 0 && step <= GROUP_STEPS; step++) {
    const share = SMALLEST_GROUP_SHARE + ((1 - SMALLEST_GROUP_SHARE) * step) / GROUP_STEPS;
    const scale = (share * largest) / LARGEST_CODE;
    const error = squaredError(weights, scale);
    if (error >= leastError) continue;
    best = scale;
    leastError = error;
  }
  return best;
}

/** The scale of a channel whose multiples fit its groups best; a positive float32. */
function chooseScale(groups: readonly Group[]): number {
  const largest = groups.reduce((most, { ideal }) => Math.max(most, ideal), 0);
  if (largest === 0) return EMPTY_CHANNEL_SCALE;
  const storable = (scale: number) => storableScale(scale, LARGEST_CODE * LARGEST_INT4_GROUP_CODE);
  let best = 0;
  let leastError = Number.POSITIVE_INFINITY;
  for (let step = 0; step <= SEARCH_STEPS; step++) {
    const share = SMALLEST_SHARE + ((LARGEST_SHARE - SMALLEST_SHARE) * step) / SEARCH_STEPS;
    const scale = storable((share * largest) / LARGEST_INT4_GROUP_CODE);
    const error = groups.reduce((sum, group) => sum + bestCode(group, scale).error, 0);
    if (error >= leastError) continue;
    best = scale;
    leastError = error;
  }
  return best;
}

/** The best of the codes around the ideal scale. */
function bestCode({ weights, ideal }: Group, scale: number): { code: number; error: number } {
  const nearest = Math.round(ideal / scale);
  const highest = Math.min(nearest + 1, LARGEST_INT4_GROUP_CODE);
  const lowest = Math.max(0, Math.min(nearest, LARGEST_INT4_GROUP_CODE) - 1);
  let code = 0;
  let error = Number.POSITIVE_INFINITY;
  for (let candidate = lowest; candidate <= highest; candidate++) {
    const of = squaredError(weights, candidate * scale);
    if (of >= error) continue;
    code = candidate;
    error = of;
  }
  return { code, error };
}

/** ‖w − v α‖² with the best v. `| 0` rounds down, and turns 0 / 0 into 0. */
function squaredError(weights: Float32Array, alpha: number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    const magnitude = Math.abs(weights[i]!);
    const code = (Math.min(magnitude / alpha, LARGEST_CODE) + 0.5) | 0;
    const error = magnitude - code * alpha;
    sum += error * error;
  }
  return sum;
}

/** Rounds half away from zero, so that negated weights give negated codes. */
function write(weights: Float32Array, alpha: number, codes: Int8Array, first: number, stride: number): void {
  for (let i = 0, at = first; i < weights.length; i++, at += stride) {
    const magnitude = Math.min(Math.round(Math.abs(weights[i]!) / alpha), LARGEST_CODE);
    codes[at] = weights[i]! < 0 ? -magnitude : magnitude;
  }
}
