/**
 * Weights that a network with searched widths begins its training with, where they are not those of the supernet:
 *
 *   model     those of the network as it was uploaded: the channels that matter most, and copies of them where there are more
 *   none      random: normal with variance 2 / fan-in, biases 0
 *
 * What a channel matters is the sum over weights of its share of their energy, ‖W_c‖² / ‖W‖².
 */
import { elementCount, type Model, readFloats, tensorFromFloats } from '../ir/index.js';
import { heNormal } from '../train/initial-weights.js';
import { parametersOf } from '../train/parameter-vector.js';
import { trainableTensors } from '../train/trainable-tensors.js';
import { type ChannelSources, deriveNetwork } from './derive.js';
import type { SearchSpace } from './search-space.js';
import type { WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** @param chosen channels of each searched width */
export async function fromModel(
  { template, graph }: SearchSpace,
  chosen: ReadonlyMap<WidthId, number>,
): Promise<Model> {
  const orders = await channelOrders({ template, graph });
  const sources: ChannelSources = new Map(
    [...chosen].map(([id, channels]) => [id, sourcesOf(orders.get(id)!, channels)]),
  );
  return deriveNetwork(template, graph, sources);
}

/** Channels of each width, those that matter most first. */
export async function channelOrders({ template, graph }: SearchSpace): Promise<Map<WidthId, number[]>> {
  const energies = await channelEnergies(template, graph);
  return new Map(
    [...energies].map(([id, own]) => [id, [...own.keys()].sort((a, b) => own[b]! - own[a]! || a - b)] as const),
  );
}

export async function fromNothing(
  { template, graph }: SearchSpace,
  chosen: ReadonlyMap<WidthId, number>,
  seed: number,
): Promise<Model> {
  const sources: ChannelSources = new Map(
    [...chosen].map(([id, channels]) => {
      const had = graph.widthOf(id).channels;
      return [id, Array.from({ length: channels }, (_, i) => i % had)];
    }),
  );
  const model = await deriveNetwork(template, graph, sources);
  const tensors = trainableTensors(model, []);
  const parameters = parametersOf(
    model,
    tensors.map(({ name }) => name),
  );
  const vector = heNormal(parameters, tensors, seed);
  const initializers = new Map(model.graph.initializers);
  for (const { name, shape, offset, length } of parameters)
    initializers.set(name, tensorFromFloats(shape, vector.slice(offset, offset + length)));
  return { ...model, graph: { ...model.graph, initializers } };
}

/** Channels in their order; where there are more than before, all of them and then copies of those that matter most. */
function sourcesOf(order: readonly number[], channels: number): number[] {
  const kept = order.slice(0, channels).toSorted((a, b) => a - b);
  const copies = Array.from({ length: Math.max(channels - kept.length, 0) }, (_, i) => order[i % order.length]!);
  return [...kept, ...copies];
}

async function channelEnergies({ graph: { initializers } }: Model, graph: WidthGraph) {
  const energies = new Map(graph.widths.map(({ id, channels }) => [id, new Float64Array(channels)]));
  for (const [name, layout] of graph.tensors) {
    const { shape } = initializers.get(name)!;
    if (shape.length < 2) continue;
    const values = await readFloats(initializers.get(name)!);
    const whole = values.reduce((sum, value) => sum + value * value, 0) || 1;
    for (const [axis, channels] of layout.entries()) {
      let first = 0;
      for (const { width, repeat } of channels?.segments ?? []) {
        const own = energies.get(graph.widthOf(width).id)!;
        own.forEach((_, c) => {
          for (let i = 0; i < repeat; i++) own[c]! += energyOf(values, shape, axis, first + c * repeat + i) / whole;
        });
        first += own.length * repeat;
      }
    }
  }
  return energies;
}

/** Of the slice at one position of an axis. */
function energyOf(values: Float32Array, shape: readonly number[], axis: number, at: number): number {
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  let sum = 0;
  for (let o = 0; o < outer; o++) {
    const first = (o * shape[axis]! + at) * inner;
    for (let i = first; i < first + inner; i++) sum += values[i]! ** 2;
  }
  return sum;
}
