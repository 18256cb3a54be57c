/**
 * Parameters in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity for weights (straight-through).
 *
 *   weight   Q(θ) is what the codes mean that are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of
 *            each group, or int8, with channel scales that leave room for the bias
 *   bias     θ itself, and so gains of normalizations
 *   scale    e^θ, of a quantized activation: so it stays positive, and a step changes it by a share of itself
 */
import type { LayerPrecision } from '@tritforge/contracts';
import { quantizeInt8, smallestWeightScales } from '../int8/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { Layer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { inOwnOrder, inRowOrder } from '../layers/weight-rows.js';
import type { OptimiserSettings, ParameterGroup } from './optimisers.js';
import type { Parameter } from './training-graph.js';

/** Keeps scales that run away positive and finite. */
const MOST = 20;

/** A weight tensor in the vector of parameters; plain data, for other threads. */
export interface LatentWeight {
  readonly layer: Pick<Layer, 'layout' | 'transposed'>;
  readonly applied: LayerPrecision;
  readonly parameter: Parameter;
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
    for (const { offset } of this.#scales) latent[offset] = Math.log(values[offset]!);
    return latent;
  }

  /** Writes Q(θ) of everything but weights: see {@link projectWeight}. */
  project(latent: Float32Array, values: Float32Array): void {
    for (const { offset, length } of this.#plain) values.set(latent.subarray(offset, offset + length), offset);
    for (const { offset } of this.#scales) values[offset] = Math.exp(Math.max(Math.min(latent[offset]!, MOST), -MOST));
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
  chain(gradient: Float32Array, values: Float32Array): void {
    for (const { offset } of this.#scales) gradient[offset]! *= values[offset]!;
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
  { layer, applied, parameter, biases }: LatentWeight,
  values: Float32Array,
): WeightCodes {
  const rows = inRowOrder(valuesOf(latent, parameter), layer);
  const minimumScales = smallestScales(values, biases);
  if (applied.bits !== 8) return nearestCodes(rows, { layer, applied }, minimumScales);
  return { kind: 'int8', weights: quantizeInt8(rows, layer.layout, { minimumScales }) };
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
