import type { WeightScales } from '@tritforge/contracts';
import { layerInput } from '../activations/activation-bits.js';
import { groupCount } from '../fgq/index.js';
import { type Node, readFloats } from '../ir/index.js';
import { codesKind } from '../layers/codes-kind.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { Start } from './fine-tune.js';
import { LatentParameters } from './latent-parameters.js';
import { type LatentWeight, type LearnedScales, roundBiases } from './latent-weight.js';
import { setScales } from './learned-scales.js';
import type { NormalizedLayer } from './normalized-student.js';
import { type Parameter, vectorLength } from './parameter-vector.js';
import type { StudentGraph } from './student-graph.js';

/** What an initializer of the student stands for. */
export type TrainedTensor =
  | { readonly kind: 'weight'; readonly planned: PlannedLayer }
  | { readonly kind: 'bias'; readonly planned: PlannedLayer }
  /** Of the normalization behind a layer, in training alone. */
  | { readonly kind: 'gain' }
  /** Of the quantized value that the plan names as `rangeOf`. */
  | { readonly kind: 'scale'; readonly rangeOf: string };

/**
 * By initializer of the student, those of normalizations last. A weight that layers share is there once; tables stay as they are.
 */
export function trainedTensors(
  layers: readonly PlannedLayer[],
  { slots, scales }: Pick<StudentGraph, 'slots' | 'scales'>,
  normalized: readonly NormalizedLayer[],
): Map<string, TrainedTensor> {
  const trained = new Map<string, TrainedTensor>();
  const tables = new Set(layers.filter(({ layer }) => layer.isTable || layer.turned).map(({ layer }) => layer.weight));
  for (const planned of layers) {
    const slot = slots.get(planned.layer.node);
    if (slot === undefined) continue;
    if (!tables.has(planned.layer.weight) && !trained.has(slot.weight))
      trained.set(slot.weight, { kind: 'weight', planned });
    if (slot.bias !== null && planned.layer.bias !== null) trained.set(slot.bias, { kind: 'bias', planned });
  }
  for (const [rangeOf, name] of scales) trained.set(name, { kind: 'scale', rangeOf });
  for (const { gain } of normalized) trained.set(gain, { kind: 'gain' });
  return trained;
}

/** What a network computes with before any training: what the codes mean, biases and scales; gains are 1. */
export async function startVector(
  parameters: readonly Parameter[],
  latent: LatentParameters,
  trained: ReadonlyMap<string, TrainedTensor>,
  { weights, scales }: Start,
): Promise<Float32Array> {
  const vector = new Float32Array(latent.length);
  for (const { name, offset, length } of parameters) {
    const tensor = trained.get(name)!;
    if (tensor.kind === 'scale') vector[offset] = scales.get(tensor.rangeOf)!.scale;
    else if (tensor.kind === 'gain') vector.fill(1, offset, offset + length);
    else if (tensor.kind === 'bias') vector.set(await readFloats(tensor.planned.layer.bias!), offset);
    else vector.set(await readFloats(weights.get(tensor.planned.layer.weight)!.decoded), offset);
  }
  for (const weight of latent.weights) {
    const tensor = trained.get(weight.parameter.name)!;
    if (tensor.kind === 'weight') setScales(weight, vector, weights.get(tensor.planned.layer.weight)!.channelScales);
  }
  return vector;
}

/** The same as artifacts store it: with biases rounded. @param start {@link startVector} */
export function asStored(
  start: Float32Array,
  latent: LatentParameters,
  trained: ReadonlyMap<string, TrainedTensor>,
  { weights }: Start,
): Float32Array {
  const vector = start.slice();
  for (const weight of latent.weights) {
    const tensor = trained.get(weight.parameter.name)!;
    if (tensor.kind === 'weight') roundBiases(weight, vector, weights.get(tensor.planned.layer.weight)!.channelScales);
  }
  return vector;
}

/** What is updated in the place of it: the parameters of the graphs, and behind them scales of weights that are learned. */
export function latentParameters(
  parameters: readonly Parameter[],
  trained: ReadonlyMap<string, TrainedTensor>,
  { layers, activations, scales }: Start,
  weightScales: WeightScales,
): LatentParameters {
  const biases = new Map<Node, Parameter>();
  const trainedScales = new Map<string, Parameter>();
  const gains: Parameter[] = [];
  for (const parameter of parameters) {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind === 'bias') biases.set(tensor.planned.layer.node, parameter);
    if (tensor.kind === 'gain') gains.push(parameter);
    if (tensor.kind === 'scale') trainedScales.set(tensor.rangeOf, parameter);
  }
  const quantizedBias = ({ layer: { node } }: PlannedLayer) => {
    const parameter = biases.get(node);
    const input = layerInput(activations, node);
    if (parameter === undefined || input === undefined) return [];
    return [{ parameter, inputScale: trainedScales.get(input.rangeOf) ?? scales.get(input.rangeOf)!.scale }];
  };
  let next = vectorLength(parameters);
  const learned: LearnedScales[] = [];
  const scalesOf = ({ layer: { layout }, applied }: PlannedLayer, name: string): LatentWeight['scales'] => {
    const kind = applied.bits === null ? null : codesKind(applied);
    if (weightScales !== 'learned') return kind === 'int2' ? weightScales : null;
    if (kind !== 'int2' && (kind !== 'ternary' || applied.planes === 2)) return null;
    const [of, length] =
      kind === 'int2'
        ? (['channels', layout.outputChannels] as const)
        : (['groups', groupCount(layout, applied.groupSize!)] as const);
    learned.push({ of, name: `${name}_scales`, shape: [length], offset: next, length });
    next += length;
    return learned.at(-1)!;
  };
  const latentWeights = parameters.flatMap((parameter): LatentWeight[] => {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind !== 'weight') return [];
    const sharing = layers.filter(({ layer }) => layer.weight === tensor.planned.layer.weight);
    const { layer, applied } = tensor.planned;
    const { layout, transposed } = layer;
    const own = scalesOf(tensor.planned, parameter.name);
    return [{ layer: { layout, transposed }, applied, parameter, scales: own, biases: sharing.flatMap(quantizedBias) }];
  });
  return new LatentParameters(latentWeights, [...biases.values(), ...gains], [...trainedScales.values(), ...learned]);
}
