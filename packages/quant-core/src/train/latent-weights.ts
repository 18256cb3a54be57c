/**
 * Weights in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity (straight-through).
 *
 * Codes are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of each group, or int8. What the forward
 * pass sees is exactly what the codes mean.
 */
import { quantizeInt8 } from '../int8/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { inOwnOrder, inRowOrder } from '../layers/weight-rows.js';
import type { Parameter } from './training-graph.js';

/** A weight tensor in the vector of parameters. */
export interface LatentWeight {
  readonly planned: PlannedLayer;
  readonly parameter: Parameter;
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
export function codesOf(latent: Float32Array, { planned, parameter }: LatentWeight): WeightCodes {
  const { layer, applied } = planned;
  const rows = inRowOrder(latent.slice(parameter.offset, parameter.offset + parameter.length), layer);
  if (applied.bits !== 8) return nearestCodes(rows, planned, undefined);
  return { kind: 'int8', weights: quantizeInt8(rows, layer.layout) };
}
