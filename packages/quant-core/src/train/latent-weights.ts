/**
 * Weights in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity (straight-through).
 *
 * Codes are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of each group, or int8, with channel scales
 * that leave room for the bias. What the forward pass sees is exactly what the codes mean.
 */
import { quantizeInt8, smallestWeightScales } from '../int8/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { inOwnOrder, inRowOrder } from '../layers/weight-rows.js';
import type { Parameter } from './training-graph.js';

/** A weight tensor in the vector of parameters. */
export interface LatentWeight {
  readonly planned: PlannedLayer;
  readonly parameter: Parameter;
  /** Biases that artifacts store in the unit of an input scale times a channel scale, one for each layer with this weight. */
  readonly biases: readonly QuantizedBias[];
}

/** A bias in the vector of parameters, and the scale of its layer's input. */
export interface QuantizedBias {
  readonly parameter: Parameter;
  readonly inputScale: number;
}

/** Writes Q(θ) over the places of the weights; biases and all else are copied. */
export function project(latent: Float32Array, weights: readonly LatentWeight[], forward: Float32Array): void {
  forward.set(latent);
  for (const weight of weights) {
    const { layer } = weight.planned;
    const { offset } = weight.parameter;
    forward.set(inOwnOrder(decodeWeights(codesOf(latent, weight)), layer), offset);
  }
}

/** The codes that a latent weight stands for. */
export function codesOf(latent: Float32Array, { planned, parameter, biases }: LatentWeight): WeightCodes {
  const { layer, applied } = planned;
  const rows = inRowOrder(valuesOf(latent, parameter), layer);
  const minimumScales = smallestScales(latent, biases);
  if (applied.bits !== 8) return nearestCodes(rows, planned, minimumScales);
  return { kind: 'int8', weights: quantizeInt8(rows, layer.layout, { minimumScales }) };
}

/** A copy of the elements of a parameter. */
export function valuesOf(latent: Float32Array, { offset, length }: Parameter): Float32Array {
  return latent.slice(offset, offset + length);
}

function smallestScales(latent: Float32Array, biases: readonly QuantizedBias[]): Float32Array | undefined {
  const needed = biases.map(({ parameter, inputScale }) =>
    smallestWeightScales(valuesOf(latent, parameter), inputScale),
  );
  return needed.reduce<Float32Array | undefined>(
    (all, own) => all?.map((scale, channel) => Math.max(scale, own[channel]!)) ?? own,
    undefined,
  );
}
