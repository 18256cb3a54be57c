import type { LayerPrecision } from '@tritforge/contracts';
import { dequantize, relativeError, type TernaryWeights, ternarize, zeroShare } from '../fgq/index.js';
import { dequantizeInt8, type Int8Weights, quantizeInt8, smallestWeightScales } from '../int8/index.js';
import { readFloats, type Tensor, tensorFromFloats } from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import type { Layer, PlannedLayer } from './layer.js';

/** The weights of a layer, quantized. Codes are in the order [OC, IC, taps]. */
export type QuantizedCodes =
  | { readonly kind: 'ternary'; readonly ternary: TernaryWeights }
  | { readonly kind: 'int8'; readonly int8: Int8Weights };

/** A quantized weight tensor and what it lost. */
export interface QuantizedWeight {
  readonly codes: QuantizedCodes;
  /** s, [OC]. */
  readonly channelScales: Float32Array;
  /** The tensor's own shape, and whether it stores [IC, OC]. */
  readonly shape: readonly number[];
  readonly transposed: boolean;
  /** t·c·s in the tensor's own shape: the engine's own reading of the codes, for its reference model. */
  readonly decoded: Tensor;
  /** ‖w − ŵ‖² / ‖w‖². */
  readonly weightError: number;
  /** Share of ternary codes that are zero; null for int8. */
  readonly zeros: number | null;
  /** Output channels without any weight left, although the original has some. */
  readonly deadChannels: number;
}

/** Quantized weights by original tensor: as the recipe has it, and all int8 for the baseline. */
export interface QuantizedWeights {
  readonly recipe: ReadonlyMap<Tensor, QuantizedWeight>;
  readonly baseline: ReadonlyMap<Tensor, QuantizedWeight>;
}

export interface QuantizeWeightsOptions {
  readonly scratch: ScratchTensors;
  /** Scale of a layer's quantized input; null where the input stays in floating point. */
  readonly inputScale: (layer: Layer) => number | null;
  /** Called between two layers; may throw to stop. */
  readonly onLayer: (done: number, total: number) => Promise<void>;
}

/**
 * Quantizes the weights of every planned layer, one layer's floats in memory at a time.
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export async function quantizeWeights(plan: readonly PlannedLayer[], options: QuantizeWeightsOptions): Promise<QuantizedWeights> {
  const recipe = new Map<Tensor, QuantizedWeight>();
  const baseline = new Map<Tensor, QuantizedWeight>();
  const quantized = plan.filter(({ applied }) => applied.bits !== null);
  for (const [done, { layer, applied }] of quantized.entries()) {
    await options.onLayer(done, quantized.length);
    if (recipe.has(layer.weight)) continue;
    const weights = await readRows(layer);
    const sharing = quantized.filter((other) => other.layer.weight === layer.weight).map((other) => other.layer);
    const minimumScales = await minimumScalesOf(sharing, options.inputScale);
    const int8 = await quantizeOne(weights, layer, { ...applied, bits: 8 }, minimumScales, options.scratch);
    baseline.set(layer.weight, int8);
    recipe.set(layer.weight, applied.bits === 8 ? int8 : await quantizeOne(weights, layer, applied, minimumScales, options.scratch));
  }
  await options.onLayer(quantized.length, quantized.length);
  return { recipe, baseline };
}

async function quantizeOne(weights: Float32Array, layer: Layer, applied: LayerPrecision, minimumScales: Float32Array | undefined, scratch: ScratchTensors): Promise<QuantizedWeight> {
  const codes = encode(weights, layer, applied, minimumScales);
  const decoded = codes.kind === 'ternary' ? dequantize(codes.ternary) : dequantizeInt8(codes.int8);
  const stored = layer.transposed ? transpose(decoded, layer.layout.outputChannels, layer.layout.inputChannels) : decoded;
  return {
    codes,
    channelScales: codes.kind === 'ternary' ? codes.ternary.channelScales : codes.int8.scales,
    shape: layer.weight.shape,
    transposed: layer.transposed,
    decoded: await scratch.keep(tensorFromFloats(layer.weight.shape, stored)),
    weightError: relativeError(weights, decoded),
    zeros: codes.kind === 'ternary' ? zeroShare(codes.ternary) : null,
    deadChannels: countDeadChannels(weights, decoded, layer.layout.outputChannels),
  };
}

function encode(weights: Float32Array, { layout }: Layer, applied: LayerPrecision, minimumScales: Float32Array | undefined): QuantizedCodes {
  if (applied.bits === 2) return { kind: 'ternary', ternary: ternarize(weights, layout, applied.groupSize!, { minimumScales }) };
  return { kind: 'int8', int8: quantizeInt8(weights, layout, { minimumScales }) };
}

/** The weights as [OC, IC, taps]. */
async function readRows({ weight, transposed, layout }: Layer): Promise<Float32Array> {
  const stored = await readFloats(weight);
  return transposed ? transpose(stored, layout.inputChannels, layout.outputChannels) : stored;
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = values[r * columns + c]!;
  return turned;
}

/** The weight scales with which the biases of all layers that share the weight fit in an int32. */
async function minimumScalesOf(layers: readonly Layer[], inputScale: (layer: Layer) => number | null): Promise<Float32Array | undefined> {
  let minimum: Float32Array | undefined;
  for (const layer of layers) {
    const scale = inputScale(layer);
    if (layer.bias === null || scale === null) continue;
    const needed = smallestWeightScales(await readFloats(layer.bias), scale);
    minimum = minimum?.map((value, i) => Math.max(value, needed[i]!)) ?? needed;
  }
  return minimum;
}

function countDeadChannels(weights: Float32Array, decoded: Float32Array, channels: number): number {
  const perChannel = weights.length / channels;
  let dead = 0;
  for (let oc = 0; oc < channels; oc++) {
    const [start, end] = [oc * perChannel, (oc + 1) * perChannel];
    const isZero = (value: number) => value === 0;
    if (decoded.subarray(start, end).every(isZero) && !weights.subarray(start, end).every(isZero)) dead++;
  }
  return dead;
}
