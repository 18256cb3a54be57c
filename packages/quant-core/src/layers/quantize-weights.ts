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

/** A quantized weight tensor, as a graph needs it. */
export interface EncodedWeight {
  readonly codes: QuantizedCodes;
  /** s, [OC]. */
  readonly channelScales: Float32Array;
  /** The tensor's own shape, and whether it stores [IC, OC]. */
  readonly shape: readonly number[];
  readonly transposed: boolean;
  /** t·c·s in the tensor's own shape: the engine's own reading of the codes, for its reference model; null in the baseline. */
  readonly decoded: Tensor | null;
}

/** A quantized weight tensor and what it lost. */
export interface QuantizedWeight extends EncodedWeight {
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
  readonly baseline: ReadonlyMap<Tensor, EncodedWeight>;
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
export async function quantizeWeights(
  plan: readonly PlannedLayer[],
  options: QuantizeWeightsOptions,
): Promise<QuantizedWeights> {
  const recipe = new Map<Tensor, QuantizedWeight>();
  const baseline = new Map<Tensor, EncodedWeight>();
  const quantized = plan.filter(({ applied }) => applied.bits !== null);
  for (const [done, { layer, applied }] of quantized.entries()) {
    await options.onLayer(done, quantized.length);
    if (recipe.has(layer.weight)) continue;
    const weights = await readRows(layer);
    const sharing = quantized.filter((other) => other.layer.weight === layer.weight).map((other) => other.layer);
    const minimumScales = await minimumScalesOf(sharing, options.inputScale);
    const int8 = encode(weights, layer, { ...applied, bits: 8 }, minimumScales);
    const codes = applied.bits === 8 ? int8 : encode(weights, layer, applied, minimumScales);
    baseline.set(layer.weight, { ...describe(int8, layer), decoded: null });
    recipe.set(layer.weight, await judge(codes, weights, layer, options.scratch));
  }
  await options.onLayer(quantized.length, quantized.length);
  return { recipe, baseline };
}

function describe(codes: QuantizedCodes, { weight, transposed }: Layer): Omit<EncodedWeight, 'decoded'> {
  const channelScales = codes.kind === 'ternary' ? codes.ternary.channelScales : codes.int8.scales;
  return { codes, channelScales, shape: weight.shape, transposed };
}

/** Decodes the weights and compares them with the original. */
async function judge(
  codes: QuantizedCodes,
  weights: Float32Array,
  layer: Layer,
  scratch: ScratchTensors,
): Promise<QuantizedWeight> {
  const { outputChannels, inputChannels } = layer.layout;
  const decoded = codes.kind === 'ternary' ? dequantize(codes.ternary) : dequantizeInt8(codes.int8);
  const stored = layer.transposed ? transpose(decoded, outputChannels, inputChannels) : decoded;
  return {
    ...describe(codes, layer),
    decoded: await scratch.keep(tensorFromFloats(layer.weight.shape, stored)),
    weightError: relativeError(weights, decoded),
    zeros: codes.kind === 'ternary' ? zeroShare(codes.ternary) : null,
    deadChannels: countDeadChannels(weights, decoded, outputChannels),
  };
}

function encode(
  weights: Float32Array,
  { layout }: Layer,
  applied: LayerPrecision,
  minimumScales: Float32Array | undefined,
): QuantizedCodes {
  if (applied.bits === 2)
    return { kind: 'ternary', ternary: ternarize(weights, layout, applied.groupSize!, { minimumScales }) };
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
async function minimumScalesOf(
  layers: readonly Layer[],
  inputScale: (layer: Layer) => number | null,
): Promise<Float32Array | undefined> {
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
