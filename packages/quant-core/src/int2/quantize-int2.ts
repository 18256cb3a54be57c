/**
 * Uniform 2-bit weights, one scale per output channel and no zero among the levels.
 *
 *   W[oc, i] ≈ v[oc, i] · s[oc]        v ∈ {−3, −1, 1, 3}: the sign of W, and 3 where |W| ≥ 2 s
 *
 *   least-squares:  s = argmin ‖W[oc] − v s‖², exactly. The best v for any s puts 3 on the k largest magnitudes and 1 on the
 *                   others, and the best s for them gains (Σ|v||w|)² / Σ v²: one sort, then n + 1 candidates.
 *   sawb:           3 s = 3.12·√(E w²) − 2.064·E|w|, fitted to six distributions (SAWB, Choi et al., arXiv 1807.06964,
 *                   section 3)
 *
 * Artifacts compute with 21 v in units of s / 21. Biases are stored in the unit of weights times that of inputs, and where both have
 * 2 bits, s is too coarse a unit for them: ResNet-8 then ranks another class first for one image of eleven.
 */
import { checkLayout, type WeightLayout } from '../fgq/grouping.js';
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales, storableScale } from '../int8/weight-scale.js';

/** Uniform 2-bit weights. */
export interface Int2Weights {
  readonly layout: WeightLayout;
  /** v, in the order of the weights: [OC, IC, taps]. */
  readonly values: Int8Array;
  /** s, [OC]; positive and finite, also where a channel is all zero. */
  readonly scales: Float32Array;
}

export interface Int2Options {
  /** How the scales are found, or the scales, [OC]; `least-squares` unless told. */
  readonly scale?: 'least-squares' | 'sawb' | Float32Array | undefined;
  /** Lower bound of the unit of each output channel, s / 21, [OC]: see `smallestWeightScales`. */
  readonly minimumScales?: Float32Array | undefined;
}

/** Largest |v|. */
export const LARGEST_INT2 = 3;

/** Units of weights in s: as many as leave the products of two weights with inputs of 8 bits within int16, as ternary codes do. */
export const INT2_UNITS = 21;

/**
 * Scale of an output channel whose weights are all zero, which codes cannot be. Multiplied by any activation it is lost beside a
 * bias; where there is one, the lower bound of the scales leaves room for it.
 */
const EMPTY_INT2_SCALE = 2 ** -60;

/** Its units can still be told from zero. */
const SMALLEST_INT2_SCALE = 2 ** -140;

/** a = SAWB_RMS·√(E w²) − SAWB_MEAN·E|w|. */
const SAWB_RMS = 3.12;
const SAWB_MEAN = 2.064;

/**
 * Quantizes a weight tensor to uniform 2 bits. A weight of zero becomes 1.
 *
 * @param weights float32, row-major [OC, IC, taps]; not modified
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function quantizeInt2(weights: Float32Array, layout: WeightLayout, options: Int2Options = {}): Int2Weights {
  const { scale: method = 'least-squares', minimumScales } = options;
  checkLayout(weights.length, layout);
  checkMinimumScales(minimumScales, layout.outputChannels);
  if (typeof method !== 'string') checkScales(method, layout.outputChannels);
  const perChannel = layout.inputChannels * layout.taps;
  const values = new Int8Array(weights.length);
  const scales = new Float32Array(layout.outputChannels);
  const magnitudes = new Float32Array(perChannel);
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    const start = oc * perChannel;
    const channel = weights.subarray(start, start + perChannel);
    if (!channel.every(Number.isFinite)) rejectNonFinite(weights, start, perChannel);
    const found = typeof method === 'string' ? chooseScale(channel, magnitudes, method) : method[oc]!;
    scales[oc] = Math.max(found, INT2_UNITS * (minimumScales?.[oc] ?? 0), SMALLEST_INT2_SCALE);
    const limit = 2 * scales[oc]!;
    for (let i = 0; i < perChannel; i++) {
      const weight = channel[i]!;
      const code = Math.abs(weight) >= limit ? LARGEST_INT2 : 1;
      values[start + i] = weight < 0 ? -code : code;
    }
  }
  return { layout, values, scales };
}

/** s / 21, [OC]: what artifacts store. */
export function int2Units(scales: Float32Array): Float32Array {
  return scales.map((scale) => scale / INT2_UNITS);
}

/** ŵ = 21 v · (s / 21) as float32, in the order of the weights. */
export function dequantizeInt2({ layout, values, scales }: Int2Weights): Float32Array {
  const perChannel = layout.inputChannels * layout.taps;
  const weights = new Float32Array(values.length);
  const units = int2Units(scales);
  for (let oc = 0, at = 0; oc < layout.outputChannels; oc++) {
    const unit = units[oc]!;
    for (const end = at + perChannel; at < end; at++) weights[at] = INT2_UNITS * values[at]! * unit;
  }
  return weights;
}

function checkScales(scales: Float32Array, outputChannels: number): void {
  if (scales.length !== outputChannels) {
    throw new RangeError(`the scales must be ${outputChannels} values, got ${scales.length}`);
  }
  const wrong = scales.findIndex((scale) => !(scale > 0 && Number.isFinite(scale)));
  if (wrong >= 0) throw new RangeError(`the scale of channel ${wrong} is ${scales[wrong]}`);
}

/** @param magnitudes room for those of the channel */
function chooseScale(channel: Float32Array, magnitudes: Float32Array, method: 'least-squares' | 'sawb'): number {
  for (let i = 0; i < channel.length; i++) magnitudes[i] = Math.abs(channel[i]!);
  const scale = method === 'sawb' ? sawbScale(magnitudes) : leastSquaresScale(magnitudes);
  return scale === 0 ? EMPTY_INT2_SCALE : storableScale(scale, LARGEST_INT2);
}

/** 0 when all are zero, and positive otherwise: no mean is larger than the root mean square. */
function sawbScale(magnitudes: Float32Array): number {
  let sum = 0;
  let squares = 0;
  for (const magnitude of magnitudes) {
    sum += magnitude;
    squares += magnitude * magnitude;
  }
  const rms = Math.sqrt(squares / magnitudes.length);
  return (SAWB_RMS * rms - (SAWB_MEAN * sum) / magnitudes.length) / LARGEST_INT2;
}

/** 0 when all are zero. @param magnitudes sorted on return */
function leastSquaresScale(magnitudes: Float32Array): number {
  magnitudes.sort();
  let pulled = 0;
  for (const magnitude of magnitudes) pulled += magnitude;
  let norm = magnitudes.length;
  let best = pulled / norm;
  let mostGain = best * pulled;
  for (let i = magnitudes.length - 1; i >= 0; i--) {
    pulled += (LARGEST_INT2 - 1) * magnitudes[i]!;
    norm += LARGEST_INT2 ** 2 - 1;
    const gain = (pulled / norm) * pulled;
    if (gain <= mostGain) continue;
    mostGain = gain;
    best = pulled / norm;
  }
  return best;
}
