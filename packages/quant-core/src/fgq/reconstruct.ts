/**
 * From ternary weights back to numbers, and what was lost.
 *
 *   int8:   q = t · c           float:  ŵ = t · c · s           error:  ‖w − ŵ‖² / ‖w‖²
 */
import { groupCount, groupsOfChannel, type WeightLayout, weightCount } from './grouping.js';
import type { TernaryPlane, TernaryWeights } from './ternarize.js';

const TERNARY_CODE_BITS = 2;
const GROUP_CODE_BITS = 8;
const CHANNEL_SCALE_BITS = 32;

/** q = t·c + t₂·c₂ in the order of the weights: exact int8 weights of the per-output-channel scales, |q| ≤ MAX_GROUP_CODE. */
export function toInt8Weights(ternary: TernaryWeights): Int8Array {
  const values = new Int8Array(ternary.codes.length);
  addPlane(ternary, ternary, values);
  if (ternary.residual !== undefined) addPlane(ternary, ternary.residual, values);
  return values;
}

function addPlane({ layout, groupSize }: TernaryWeights, { codes, groupCodes }: TernaryPlane, values: Int8Array): void {
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
export function dequantize(ternary: TernaryWeights): Float32Array {
  const values = toInt8Weights(ternary);
  const perChannel = values.length / ternary.layout.outputChannels;
  const weights = new Float32Array(values.length);
  for (let oc = 0, at = 0; oc < ternary.layout.outputChannels; oc++) {
    const scale = ternary.channelScales[oc]!;
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
