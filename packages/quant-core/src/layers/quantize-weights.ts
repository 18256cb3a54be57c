import { quantizeInt8, smallestWeightScales } from '../int8/index.js';
import { readFloats, type Tensor } from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import {
  type EncodedWeight,
  encodeWeights,
  type QuantizedWeight,
  storeInt8,
  type WeightCodes,
} from './encoded-weight.js';
import type { Layer, PlannedLayer } from './layer.js';
import { nearestCodes } from './nearest-codes.js';
import { readRows } from './weight-rows.js';

/** Quantized weights by original tensor: as the recipe has it, and all int8 for the baseline. */
export interface QuantizedWeights {
  readonly recipe: ReadonlyMap<Tensor, QuantizedWeight>;
  readonly baseline: ReadonlyMap<Tensor, EncodedWeight>;
}

export interface QuantizeWeightsOptions {
  readonly scratch: ScratchTensors;
  /** Weights that are quantized already, by original tensor. */
  readonly solved?: ReadonlyMap<Tensor, QuantizedWeight>;
  /** The smaller of the scales that a layer's input has in the two models; null where it stays in floating point. */
  readonly smallestInputScale: (layer: Layer) => number | null;
  /** Called between two layers; may throw to stop. */
  readonly onLayer: (done: number, total: number) => Promise<void>;
}

/**
 * Quantizes the weights of every planned layer, each for itself, one layer's floats in memory at a time.
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export async function quantizeWeights(
  plan: readonly PlannedLayer[],
  options: QuantizeWeightsOptions,
): Promise<QuantizedWeights> {
  const recipe = new Map<Tensor, QuantizedWeight>();
  const baseline = new Map<Tensor, EncodedWeight>();
  const quantized = plan.filter(({ applied }) => applied.bits !== null);
  for (const [done, planned] of quantized.entries()) {
    const { layer, applied } = planned;
    await options.onLayer(done, quantized.length);
    if (recipe.has(layer.weight)) continue;
    const weights = await readRows(layer);
    const sharing = quantized.filter((other) => other.layer.weight === layer.weight).map((other) => other.layer);
    const minimumScales = await minimumScalesOf(sharing, options.smallestInputScale);
    const int8 = quantizeInt8(weights, layer.layout, { minimumScales });
    baseline.set(layer.weight, { ...(await storeInt8(int8, layer, options.scratch)), decoded: null });
    const known = options.solved?.get(layer.weight);
    const codes = (): WeightCodes =>
      applied.bits === 8 ? { kind: 'int8', weights: int8 } : nearestCodes(weights, planned, minimumScales);
    recipe.set(layer.weight, known ?? (await encodeWeights(codes(), weights, layer, options.scratch)));
  }
  await options.onLayer(quantized.length, quantized.length);
  return { recipe, baseline };
}

/** The weight scales with which the biases of all layers that share the weight fit in an int32. */
async function minimumScalesOf(
  layers: readonly Layer[],
  smallestInputScale: (layer: Layer) => number | null,
): Promise<Float32Array | undefined> {
  let minimum: Float32Array | undefined;
  for (const layer of layers) {
    const scale = smallestInputScale(layer);
    if (layer.bias === null || scale === null) continue;
    const needed = smallestWeightScales(await readFloats(layer.bias), scale);
    minimum = minimum?.map((value, i) => Math.max(value, needed[i]!)) ?? needed;
  }
  return minimum;
}
