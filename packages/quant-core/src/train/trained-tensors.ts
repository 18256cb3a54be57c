import type { LayerSlots } from '../artifact/working-graph.js';
import { type Node, readFloats, type Tensor } from '../ir/index.js';
import type { QuantizedWeight } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { LatentWeight } from './latent-weights.js';
import type { Parameter } from './training-graph.js';

/** What an initializer of the student stands for. */
export type TrainedTensor =
  | { readonly kind: 'weight'; readonly planned: PlannedLayer }
  | { readonly kind: 'bias'; readonly bias: Tensor };

/** By initializer of the student, in graph order. A weight that layers share is there once; tables stay as they are. */
export function trainedTensors(
  layers: readonly PlannedLayer[],
  slots: ReadonlyMap<Node, LayerSlots>,
): Map<string, TrainedTensor> {
  const trained = new Map<string, TrainedTensor>();
  const tables = new Set(layers.filter(({ layer }) => layer.isTable || layer.turned).map(({ layer }) => layer.weight));
  for (const planned of layers) {
    const slot = slots.get(planned.layer.node);
    if (slot === undefined) continue;
    if (!tables.has(planned.layer.weight) && !trained.has(slot.weight))
      trained.set(slot.weight, { kind: 'weight', planned });
    if (slot.bias !== null && planned.layer.bias !== null)
      trained.set(slot.bias, { kind: 'bias', bias: planned.layer.bias });
  }
  return trained;
}

/** The vector that training starts from: what the codes mean, and the biases. */
export async function startVector(
  parameters: readonly Parameter[],
  trained: ReadonlyMap<string, TrainedTensor>,
  weights: ReadonlyMap<Tensor, QuantizedWeight>,
): Promise<Float32Array> {
  const vector = new Float32Array(parameters.reduce((sum, { length }) => sum + length, 0));
  for (const { name, offset } of parameters) {
    const tensor = trained.get(name)!;
    const source = tensor.kind === 'bias' ? tensor.bias : weights.get(tensor.planned.layer.weight)!.decoded;
    vector.set(await readFloats(source), offset);
  }
  return vector;
}

/** @param inputScaleOf scale of the input of a layer; null where it stays in floating point */
export function latentWeights(
  parameters: readonly Parameter[],
  trained: ReadonlyMap<string, TrainedTensor>,
  layers: readonly PlannedLayer[],
  inputScaleOf: (planned: PlannedLayer) => number | null,
): LatentWeight[] {
  const biases = new Map<Tensor, Parameter>();
  for (const parameter of parameters) {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind === 'bias') biases.set(tensor.bias, parameter);
  }
  const quantizedBias = (planned: PlannedLayer) => {
    const parameter = planned.layer.bias === null ? undefined : biases.get(planned.layer.bias);
    const inputScale = inputScaleOf(planned);
    return parameter === undefined || inputScale === null ? [] : [{ parameter, inputScale }];
  };
  return parameters.flatMap((parameter) => {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind === 'bias') return [];
    const sharing = layers.filter(({ layer }) => layer.weight === tensor.planned.layer.weight);
    return [{ planned: tensor.planned, parameter, biases: sharing.flatMap(quantizedBias) }];
  });
}
