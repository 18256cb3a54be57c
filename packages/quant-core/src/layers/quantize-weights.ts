import {
  dequantize,
  pack2,
  relativeError,
  type TernaryWeights,
  ternarize,
  type WeightLayout,
  zeroShare,
} from '../fgq/index.js';
import { dequantizeInt8, type Int8Weights, quantizeInt8, smallestWeightScales } from '../int8/index.js';
import { readFloats, type Tensor, tensorFromFloats, tensorFromInt8, tensorFromUint8 } from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import type { Layer, PlannedLayer } from './layer.js';

/** Ternary weights as artifacts store them. */
export interface TernaryCodes {
  readonly kind: 'ternary';
  readonly layout: WeightLayout;
  readonly groupSize: number;
  /** uint8, four codes per byte in the order [OC, IC, taps]. */
  readonly packed: Tensor;
  /** int8, in the order [OC, G, taps]. */
  readonly groupCodes: Tensor;
}

/** Int8 weights as artifacts store them, in the tensor's own shape. */
export interface Int8Codes {
  readonly kind: 'int8';
  readonly values: Tensor;
}

/** A quantized weight tensor, as a graph needs it. */
export interface EncodedWeight {
  readonly codes: TernaryCodes | Int8Codes;
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
  /** The smaller of the scales that a layer's input has in the two models; null where it stays in floating point. */
  readonly smallestInputScale: (layer: Layer) => number | null;
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
    const minimumScales = await minimumScalesOf(sharing, options.smallestInputScale);
    const int8 = quantizeInt8(weights, layer.layout, { minimumScales });
    const ternary =
      applied.bits === 2 ? ternarize(weights, layer.layout, applied.groupSize!, { minimumScales }) : undefined;
    const stored = await storeInt8(int8, layer, options.scratch);
    baseline.set(layer.weight, { ...stored, decoded: null });
    recipe.set(layer.weight, {
      ...(ternary ? await storeTernary(ternary, layer, options.scratch) : stored),
      ...(await judge(ternary ? dequantize(ternary) : dequantizeInt8(int8), weights, layer, options.scratch)),
      zeros: ternary ? zeroShare(ternary) : null,
    });
  }
  await options.onLayer(quantized.length, quantized.length);
  return { recipe, baseline };
}

async function storeInt8(
  { values, scales }: Int8Weights,
  { weight, transposed, layout }: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  const { outputChannels, inputChannels } = layout;
  const own = transposed ? transpose(values, new Int8Array(values.length), outputChannels, inputChannels) : values;
  const stored = await scratch.keep(tensorFromInt8(weight.shape, own));
  return { codes: { kind: 'int8', values: stored }, channelScales: scales, shape: weight.shape, transposed };
}

async function storeTernary(
  ternary: TernaryWeights,
  { weight, transposed, layout }: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  const { groupSize, groupCodes, channelScales } = ternary;
  const bytes = pack2(ternary.codes);
  const codes: TernaryCodes = {
    kind: 'ternary',
    layout,
    groupSize,
    packed: await scratch.keep(tensorFromUint8([bytes.length], bytes)),
    groupCodes: await scratch.keep(tensorFromInt8([groupCodes.length], Int8Array.from(groupCodes))),
  };
  return { codes, channelScales, shape: weight.shape, transposed };
}

/** Compares decoded weights, [OC, IC, taps], with the original and stores them in the tensor's own shape. */
async function judge(
  decoded: Float32Array,
  weights: Float32Array,
  { weight, transposed, layout }: Layer,
  scratch: ScratchTensors,
): Promise<Pick<QuantizedWeight, 'decoded' | 'weightError' | 'deadChannels'>> {
  const { outputChannels, inputChannels } = layout;
  const own = transposed
    ? transpose(decoded, new Float32Array(decoded.length), outputChannels, inputChannels)
    : decoded;
  return {
    decoded: await scratch.keep(tensorFromFloats(weight.shape, own)),
    weightError: relativeError(weights, decoded),
    deadChannels: countDeadChannels(weights, decoded, outputChannels),
  };
}

/** The weights as [OC, IC, taps]. */
async function readRows({ weight, transposed, layout }: Layer): Promise<Float32Array> {
  const stored = await readFloats(weight);
  const { inputChannels, outputChannels } = layout;
  return transposed ? transpose(stored, new Float32Array(stored.length), inputChannels, outputChannels) : stored;
}

function transpose<T extends Float32Array | Int8Array>(values: T, turned: T, rows: number, columns: number): T {
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = values[r * columns + c]!;
  return turned;
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
