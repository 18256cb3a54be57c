/**
 * From codes in groups back to numbers, and what was lost.
 *
 *   int8:   q = t · c           float:  ŵ = t · c · s           error:  ‖w − ŵ‖² / ‖w‖²
 */
import { groupCount, groupsOfChannel, type WeightLayout, weightCount } from './grouping.js';
import type { TernaryWeights } from './ternarize.js';

/** Codes of a weight tensor and the scales of their groups; ternary weights are such codes, with one plane or two. */
export interface GroupedWeights extends CodePlane {
  readonly layout: WeightLayout;
  /** N. */
  readonly groupSize: number;
  /** A second plane, which adds to the first. */
  readonly residual?: CodePlane;
  /** s, [OC]. */
  readonly channelScales: Float32Array;
}

/** Codes, [OC, IC, taps], and the codes of their groups' scales, [OC, G, taps]. */
export interface CodePlane {
  readonly codes: Int8Array;
  readonly groupCodes: Uint8Array;
}

const TERNARY_CODE_BITS = 2;
const GROUP_CODE_BITS = 8;
const CHANNEL_SCALE_BITS = 32;

/**
 * q = t·c + t₂·c₂ in the order of the weights: exact int8 weights of the per-output-channel scales. Of ternary weights |q| is at
 * most MAX_GROUP_CODE.
 */
export function toInt8Weights(grouped: GroupedWeights): Int8Array {
  const values = new Int8Array(grouped.codes.length);
  addPlane(grouped, grouped, values);
  if (grouped.residual !== undefined) addPlane(grouped, grouped.residual, values);
  return values;
}

function addPlane({ layout, groupSize }: GroupedWeights, { codes, groupCodes }: CodePlane, values: Int8Array): void {
  const groups = groupsOfChannel(layout, groupSize);
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    for (let j = 0; j < groups.groupCount; j++) {
      const code = groupCodes[oc * groups.groupCount + j]!;
      const first = oc * groups.weightCount + groups.firstWeight[j]!;
      const end = first + groups.lengths[j]! * groups.stride;
      for (let at = first; at < end; at += groups.stride) values[at] = values[at]! + codes[at]! * code;
    }
  }
}

/** ŵ = t·c·s as float32, in the order of the weights. */
export function dequantize(grouped: GroupedWeights): Float32Array {
  const values = toInt8Weights(grouped);
  const perChannel = values.length / grouped.layout.outputChannels;
  const weights = new Float32Array(values.length);
  for (let oc = 0, at = 0; oc < grouped.layout.outputChannels; oc++) {
    const scale = grouped.channelScales[oc]!;
    for (const end = at + perChannel; at < end; at++) weights[at] = values[at]! * scale;
  }
  return weights;
}

/**
 * ‖w − ŵ‖² / ‖w‖², summed in float64; 0 when all weights are zero.
 * @throws RangeError when the lengths differ
 */
export function relativeError(weights: Float32Array, approximation: Float32Array): number {
  if (weights.length !== approximation.length) {
    throw new RangeError(`expected ${weights.length} approximated weights, got ${approximation.length}`);
  }
  let errorSum = 0;
  let weightSum = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    const error = weight - approximation[i]!;
    errorSum += error * error;
    weightSum += weight * weight;
  }
  return weightSum === 0 ? 0 : errorSum / weightSum;
}

/** Share of ternary codes that are zero, 0…1, of all planes. */
export function zeroShare({ codes, residual }: TernaryWeights): number {
  const planes = residual === undefined ? [codes] : [codes, residual.codes];
  let zeros = 0;
  for (const plane of planes) for (const code of plane) if (code === 0) zeros++;
  return zeros / (codes.length * planes.length);
}

/** Stored bits per weight: 2-bit codes and 8-bit group codes of each plane, and 32-bit channel scales. */
export function bitsPerWeight(layout: WeightLayout, groupSize: number, planes: 1 | 2 = 1): number {
  const planeBits = TERNARY_CODE_BITS + (GROUP_CODE_BITS * groupCount(layout, groupSize)) / weightCount(layout);
  return planes * planeBits + (CHANNEL_SCALE_BITS * layout.outputChannels) / weightCount(layout);
}
