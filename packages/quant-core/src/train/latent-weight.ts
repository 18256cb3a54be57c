/** One weight among the parameters in training: see latent-parameters.ts. */
import type { LayerPrecision } from '@tritforge/contracts';
import { ternarizeScaled } from '../fgq/index.js';
import { quantizeInt2 } from '../int2/index.js';
import { roundedBias, smallestWeightScales } from '../int8/index.js';
import { decodeWeights, storedScales, type WeightCodes } from '../layers/encoded-weight.js';
import type { Layer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { inOwnOrder, inRowOrder } from '../layers/weight-rows.js';
import type { Parameter } from './parameter-vector.js';

/** A weight tensor in the vector of parameters; plain data, for other threads. */
export interface LatentWeight {
  readonly layer: Pick<Layer, 'layout' | 'transposed'>;
  readonly applied: LayerPrecision;
  readonly parameter: Parameter;
  /** How scales are found, of uniform weights, or where those are that are learned; null where codes and scales are solved for. */
  readonly scales: 'least-squares' | 'sawb' | LearnedScales | null;
  /** Biases that artifacts store in the unit of an input scale times a channel scale, one for each layer with this weight. */
  readonly biases: readonly QuantizedBias[];
}

/** Of the channels of uniform weights, [OC], or of the groups of ternary ones in one plane, [OC, G, taps]. */
export interface LearnedScales extends Parameter {
  readonly of: 'channels' | 'groups';
}

/** A bias in the vector of parameters, and the scale of its layer's input, there or fixed. */
export interface QuantizedBias {
  readonly parameter: Parameter;
  readonly inputScale: Parameter | number;
}

/** How biases are in Q(θ): as they are trained, or as artifacts round them. */
export type BiasValues = 'trained' | 'stored';

/**
 * Writes Q(θ) of a weight, and rounds its biases where they are to be as stored.
 * @param values Q(θ), of biases, as they are trained, and scales already
 */
export function projectWeight(
  latent: Float32Array,
  weight: LatentWeight,
  values: Float32Array,
  biases: BiasValues = 'trained',
): void {
  const codes = codesOf(latent, weight, values);
  setRows(decodeWeights(codes), weight, values);
  if (biases === 'stored') roundBiases(weight, values, storedScales(codes));
}

/** Rounds the biases beside a weight as artifacts do. @param channelScales as artifacts store them, [OC] */
export function roundBiases({ biases }: LatentWeight, values: Float32Array, channelScales: Float32Array): void {
  for (const { parameter, inputScale } of biases)
    values.set(roundedBias(valuesOf(values, parameter), scaleOf(inputScale, values), channelScales), parameter.offset);
}

/**
 * The codes that a latent weight stands for.
 * @param values Q(θ) of biases and scales
 */
export function codesOf(latent: Float32Array, weight: LatentWeight, values: Float32Array): WeightCodes {
  const { layer, applied, scales, biases } = weight;
  const rows = rowsOf(latent, weight);
  const minimumScales = smallestScales(values, biases);
  if (scales === null) return nearestCodes(rows, { layer, applied }, minimumScales);
  if (typeof scales !== 'string' && scales.of === 'groups') {
    const learned = valuesOf(values, scales);
    const weights = ternarizeScaled(rows, learned, layer.layout, applied.groupSize!, { minimumScales });
    return { kind: 'ternary', weights };
  }
  const scale = typeof scales === 'string' ? scales : valuesOf(values, scales);
  return { kind: 'int2', weights: quantizeInt2(rows, layer.layout, { scale, minimumScales }) };
}

/** A copy of what a vector has in the place of a weight, [OC, IC, taps]. */
export function rowsOf(vector: Float32Array, { layer, parameter }: LatentWeight): Float32Array {
  return inRowOrder(valuesOf(vector, parameter), layer);
}

/** @param rows [OC, IC, taps] */
export function setRows(rows: Float32Array, { layer, parameter }: LatentWeight, vector: Float32Array): void {
  vector.set(inOwnOrder(rows, layer), parameter.offset);
}

/** A copy of the elements of a parameter. */
export function valuesOf(vector: Float32Array, { offset, length }: Parameter): Float32Array {
  return vector.slice(offset, offset + length);
}

function smallestScales(values: Float32Array, biases: readonly QuantizedBias[]): Float32Array | undefined {
  const needed = biases.map(({ parameter, inputScale }) =>
    smallestWeightScales(valuesOf(values, parameter), scaleOf(inputScale, values)),
  );
  return needed.reduce<Float32Array | undefined>(
    (all, own) => all?.map((scale, channel) => Math.max(scale, own[channel]!)) ?? own,
    undefined,
  );
}

function scaleOf(scale: Parameter | number, values: Float32Array): number {
  return typeof scale === 'number' ? scale : values[scale.offset]!;
}
