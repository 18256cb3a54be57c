/** Quantized weights as artifacts store them. */
import {
  type CodePlane,
  dequantize,
  type GroupedWeights,
  pack2,
  relativeError,
  type TernaryWeights,
  type WeightLayout,
  zeroShare,
} from '../fgq/index.js';
import { dequantizeInt2, type Int2Weights, int2Units, packInt2 } from '../int2/index.js';
import { type Int4Weights, pack4 } from '../int4/index.js';
import { dequantizeInt8, type Int8Weights } from '../int8/index.js';
import { type Tensor, tensorFromFloats, tensorFromInt8, tensorFromUint8 } from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import type { Layer } from './layer.js';
import { inOwnOrder } from './weight-rows.js';

/** Codes of weights and of their groups as artifacts store them. */
export interface PlaneCodes {
  /** uint8, four ternary codes or two 4-bit ones per byte, in the order [OC, IC, taps]. */
  readonly packed: Tensor;
  /** int8, in the order [OC, G, taps]. */
  readonly groupCodes: Tensor;
}

/** Weights in groups as artifacts store them. */
export interface GroupCodes extends PlaneCodes {
  readonly kind: 'ternary' | 'int4';
  readonly layout: WeightLayout;
  readonly groupSize: number;
  /** The second ternary plane, which adds to the first; null where there is one alone. */
  readonly residual: PlaneCodes | null;
}

/** Int8 weights as artifacts store them, in the tensor's own shape. */
export interface Int8Codes {
  readonly kind: 'int8';
  readonly values: Tensor;
}

/** Uniform 2-bit weights as artifacts store them. */
export interface Int2Codes {
  readonly kind: 'int2';
  /** uint8, four codes per byte, in the order [OC, IC, taps]. */
  readonly packed: Tensor;
  readonly layout: WeightLayout;
}

/** A quantized weight tensor, as a graph needs it. */
export interface EncodedWeight {
  readonly codes: GroupCodes | Int2Codes | Int8Codes;
  /** s, [OC]; s / 21 of uniform 2-bit weights. */
  readonly channelScales: Float32Array;
  /** The tensor's own shape, and whether it stores [IC, OC]. */
  readonly shape: readonly number[];
  readonly transposed: boolean;
  /**
   * q·s, q being t·c, t·c + t₂·c₂, v·c, 21 times a 2-bit value or an int8 value, in the tensor's own shape: the engine's own reading of the codes, for its reference model; null
   * in the baseline.
   */
  readonly decoded: Tensor | null;
}

/** A quantized weight tensor and what it lost. */
export interface QuantizedWeight extends EncodedWeight {
  readonly decoded: Tensor;
  /** ‖w − ŵ‖² / ‖w‖². */
  readonly weightError: number;
  /** Share of ternary codes that are zero; null for others. */
  readonly zeros: number | null;
  /** Output channels without any weight left, although the original has some. */
  readonly deadChannels: number;
}

/** Codes of a layer's weights, [OC, IC, taps]. */
export type WeightCodes =
  | { readonly kind: 'ternary'; readonly weights: TernaryWeights }
  | { readonly kind: 'int4'; readonly weights: Int4Weights }
  | { readonly kind: 'int2'; readonly weights: Int2Weights }
  | { readonly kind: 'int8'; readonly weights: Int8Weights };

/** What codes mean, [OC, IC, taps]. */
export function decodeWeights(codes: WeightCodes): Float32Array {
  if (codes.kind === 'int8') return dequantizeInt8(codes.weights);
  return codes.kind === 'int2' ? dequantizeInt2(codes.weights) : dequantize(codes.weights);
}

/** Channel scales as artifacts store them, [OC]: see {@link EncodedWeight.channelScales}. */
export function storedScales(codes: WeightCodes): Float32Array {
  if (codes.kind === 'int8') return codes.weights.scales;
  return codes.kind === 'int2' ? int2Units(codes.weights.scales) : codes.weights.channelScales;
}

/** The codes with channel scales times the factors, [OC]. */
export function scaleCodes(codes: WeightCodes, factors: Float32Array): WeightCodes {
  const times = (scales: Float32Array) => scales.map((scale, oc) => scale * factors[oc]!);
  switch (codes.kind) {
    case 'int2':
    case 'int8':
      return { kind: codes.kind, weights: { ...codes.weights, scales: times(codes.weights.scales) } };
    case 'int4':
    case 'ternary':
      return { kind: codes.kind, weights: { ...codes.weights, channelScales: times(codes.weights.channelScales) } };
  }
}

/**
 * Codes as an artifact stores them, large ones in the scratch file, and what they lost.
 * @param original the weights, [OC, IC, taps]
 */
export async function encodeWeights(
  codes: WeightCodes,
  original: Float32Array,
  layer: Layer,
  scratch: ScratchTensors,
): Promise<QuantizedWeight> {
  const decoded = decodeWeights(codes);
  return {
    ...(await storeCodes(codes, layer, scratch)),
    decoded: await scratch.keep(tensorFromFloats(layer.weight.shape, inOwnOrder(decoded, layer))),
    weightError: relativeError(original, decoded),
    deadChannels: countDeadChannels(original, decoded, layer.layout.outputChannels),
    zeros: codes.kind === 'ternary' ? zeroShare(codes.weights) : null,
  };
}

/** Int8 weights as an artifact stores them, large ones in the scratch file. */
export async function storeInt8(
  { values, scales }: Int8Weights,
  layer: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  const { weight, transposed } = layer;
  const stored = await scratch.keep(tensorFromInt8(weight.shape, inOwnOrder(values, layer)));
  return { codes: { kind: 'int8', values: stored }, channelScales: scales, shape: weight.shape, transposed };
}

function storeCodes(
  codes: WeightCodes,
  layer: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  if (codes.kind === 'int8') return storeInt8(codes.weights, layer, scratch);
  return codes.kind === 'int2' ? storeInt2(codes.weights, layer, scratch) : storeGroups(codes, layer, scratch);
}

async function storeInt2(
  { values, scales, layout }: Int2Weights,
  { weight, transposed }: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  const bytes = packInt2(values);
  const packed = await scratch.keep(tensorFromUint8([bytes.length], bytes));
  return { codes: { kind: 'int2', packed, layout }, channelScales: int2Units(scales), shape: weight.shape, transposed };
}

async function storeGroups(
  { kind, weights }: Extract<WeightCodes, { kind: GroupCodes['kind'] }>,
  { weight, transposed, layout }: Layer,
  scratch: ScratchTensors,
): Promise<Omit<EncodedWeight, 'decoded'>> {
  const { groupSize, residual, channelScales }: GroupedWeights = weights;
  const codes: GroupCodes = {
    kind,
    layout,
    groupSize,
    ...(await storePlane(kind, weights, scratch)),
    residual: residual === undefined ? null : await storePlane(kind, residual, scratch),
  };
  return { codes, channelScales, shape: weight.shape, transposed };
}

async function storePlane(
  kind: GroupCodes['kind'],
  { codes, groupCodes }: CodePlane,
  scratch: ScratchTensors,
): Promise<PlaneCodes> {
  const bytes = kind === 'int4' ? pack4(codes) : pack2(codes);
  return {
    packed: await scratch.keep(tensorFromUint8([bytes.length], bytes)),
    groupCodes: await scratch.keep(tensorFromInt8([groupCodes.length], Int8Array.from(groupCodes))),
  };
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
