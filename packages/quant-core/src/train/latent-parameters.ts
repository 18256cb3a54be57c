/**
 * Parameters in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity for weights (straight-through).
 *
 *   weight   Q(θ) is what the codes mean that are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of
 *            each group, or int8, with channel scales that leave room for the bias
 *   bias     θ itself, and so gains of normalizations
 *   scale    e^θ, of a quantized activation or of the channels of a weight: so it stays positive, and a step changes it by a share
 *            of itself
 *
 * Scales of uniform weights may be learned, too (LSQ). With codes v = clip(w / s) rounded to levels of at most n,
 *
 *   ŵ = v · s      ∂ŵ/∂w = 1, ∂ŵ/∂s = v − w / s where |w / s| ≤ n;      ∂ŵ/∂w = 0, ∂ŵ/∂s = ±n beyond
 *
 * Source: Esser et al. 2020 (LSQ), eqs. 2, 3 and 5.
 */
import type { LayerPrecision } from '@tritforge/contracts';
import { LARGEST_INT2, quantizeInt2 } from '../int2/index.js';
import { smallestWeightScales } from '../int8/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { Layer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { inOwnOrder, inRowOrder } from '../layers/weight-rows.js';
import type { OptimiserSettings, ParameterGroup } from './optimisers.js';
import { type Parameter, vectorLength } from './parameter-vector.js';

/** Keeps scales that run away positive and finite. */
const MOST = 20;

/** A weight tensor in the vector of parameters; plain data, for other threads. */
export interface LatentWeight {
  readonly layer: Pick<Layer, 'layout' | 'transposed'>;
  readonly applied: LayerPrecision;
  readonly parameter: Parameter;
  /** Of uniform weights: how their scales are found, or where they are, [OC]; null for others. */
  readonly scales: 'least-squares' | 'sawb' | Parameter | null;
  /** Biases that artifacts store in the unit of an input scale times a channel scale, one for each layer with this weight. */
  readonly biases: readonly QuantizedBias[];
}

/** A bias in the vector of parameters, and the scale of its layer's input, there or fixed. */
export interface QuantizedBias {
  readonly parameter: Parameter;
  readonly inputScale: Parameter | number;
}

export class LatentParameters {
  readonly weights: readonly LatentWeight[];
  readonly #plain: readonly Parameter[];
  readonly #scales: readonly Parameter[];

  /**
   * @param plain what is trained as it is
   * @param scales of activations
   */
  constructor(weights: readonly LatentWeight[], plain: readonly Parameter[], scales: readonly Parameter[]) {
    this.weights = weights;
    this.#plain = plain;
    this.#scales = scales;
  }

  /** Of all of them together. */
  get length(): number {
    const all = [...this.weights.map(({ parameter }) => parameter), ...this.#plain, ...this.#scales];
    return vectorLength(all);
  }

  /**
   * Each tensor learns as if it had been divided by its root mean square at the start, so that one learning rate suits layers and
   * networks of all sizes. Logarithms of scales are relative as they are.
   * @param start Q(θ)
   */
  groups(start: Float32Array, { kind }: OptimiserSettings): ParameterGroup[] {
    const group = ({ offset, length }: Parameter, size: number): ParameterGroup => ({
      begin: offset,
      end: offset + length,
      rate: kind === 'sgd' ? size ** 2 : size,
      decay: 0,
    });
    const weights = this.weights.map(({ parameter }) => parameter);
    const sizes = [...weights, ...this.#plain].map((parameter) => rootMeanSquare(valuesOf(start, parameter)));
    const smallest = Math.min(...sizes.filter((size) => size > 0), 1);
    return [
      ...[...weights, ...this.#plain].map((parameter, i) => group(parameter, sizes[i]! || smallest)),
      ...this.#scales.map((parameter) => group(parameter, 1)),
    ].toSorted((a, b) => a.begin - b.begin);
  }

  /** θ that stands for what a network computes with. */
  from(values: Float32Array): Float32Array {
    const latent = values.slice();
    for (const i of this.#positionsOfScales()) latent[i] = Math.log(values[i]!);
    return latent;
  }

  /** Writes Q(θ) of everything but weights: see {@link projectWeight}. */
  project(latent: Float32Array, values: Float32Array): void {
    for (const { offset, length } of this.#plain) values.set(latent.subarray(offset, offset + length), offset);
    for (const i of this.#positionsOfScales()) values[i] = Math.exp(Math.max(Math.min(latent[i]!, MOST), -MOST));
  }

  /** The weights in so many parts of about equal size, by their positions. */
  shares(count: number): number[][] {
    const shares = Array.from({ length: count }, () => ({ weights: [] as number[], size: 0 }));
    const bySize = this.weights
      .map(({ parameter }, i) => ({ i, size: parameter.length }))
      .sort((a, b) => b.size - a.size);
    for (const { i, size } of bySize) {
      const least = shares.reduce((best, share) => (share.size < best.size ? share : best));
      least.weights.push(i);
      least.size += size;
    }
    return shares.map(({ weights }) => weights);
  }

  /** Makes the gradient by Q(θ) one by θ. */
  chain(gradient: Float32Array, latent: Float32Array, values: Float32Array): void {
    for (const weight of this.weights) chainLearned(weight, gradient, latent, values);
    for (const i of this.#positionsOfScales()) gradient[i]! *= values[i]!;
  }

  *#positionsOfScales(): Generator<number> {
    for (const { offset, length } of this.#scales) for (let i = offset; i < offset + length; i++) yield i;
  }
}

/**
 * Writes Q(θ) of a weight.
 * @param values Q(θ), of biases and scales already
 */
export function projectWeight(latent: Float32Array, weight: LatentWeight, values: Float32Array): void {
  const decoded = decodeWeights(codesOf(latent, weight, values));
  values.set(inOwnOrder(decoded, weight.layer), weight.parameter.offset);
}

/**
 * The codes that a latent weight stands for.
 * @param values Q(θ) of biases and scales
 */
export function codesOf(
  latent: Float32Array,
  { layer, applied, parameter, scales, biases }: LatentWeight,
  values: Float32Array,
): WeightCodes {
  const rows = inRowOrder(valuesOf(latent, parameter), layer);
  const minimumScales = smallestScales(values, biases);
  if (scales === null) return nearestCodes(rows, { layer, applied }, minimumScales);
  const scale = typeof scales === 'string' ? scales : valuesOf(values, scales);
  return { kind: 'int2', weights: quantizeInt2(rows, layer.layout, { scale, minimumScales }) };
}

/** Of the scales of a weight, and of the weight itself, where they are learned. */
function chainLearned(
  { layer, parameter, scales }: LatentWeight,
  gradient: Float32Array,
  latent: Float32Array,
  values: Float32Array,
): void {
  if (scales === null || typeof scales === 'string') return;
  const perChannel = parameter.length / scales.length;
  const channelOf = (i: number) => (layer.transposed ? i % scales.length : Math.floor(i / perChannel));
  gradient.fill(0, scales.offset, scales.offset + scales.length);
  for (let i = 0; i < parameter.length; i++) {
    const at = parameter.offset + i;
    const channel = scales.offset + channelOf(i);
    const scale = values[channel]!;
    const ratio = latent[at]! / scale;
    const isWithin = Math.abs(ratio) <= LARGEST_INT2;
    gradient[channel]! += gradient[at]! * (isWithin ? values[at]! / scale - ratio : Math.sign(ratio) * LARGEST_INT2);
    if (!isWithin) gradient[at] = 0;
  }
}

/** A copy of the elements of a parameter. */
export function valuesOf(vector: Float32Array, { offset, length }: Parameter): Float32Array {
  return vector.slice(offset, offset + length);
}

function smallestScales(values: Float32Array, biases: readonly QuantizedBias[]): Float32Array | undefined {
  const needed = biases.map(({ parameter, inputScale }) =>
    smallestWeightScales(
      valuesOf(values, parameter),
      typeof inputScale === 'number' ? inputScale : values[inputScale.offset]!,
    ),
  );
  return needed.reduce<Float32Array | undefined>(
    (all, own) => all?.map((scale, channel) => Math.max(scale, own[channel]!)) ?? own,
    undefined,
  );
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(values.length, 1));
}
