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
import { deriveNetwork } from './derive.js';
import type { SearchSpace } from './search-space.js';
import type { ChannelCounts, WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** By width, its channels. */
export type ChannelOrders = ReadonlyMap<WidthId, readonly number[]>;

/** @param orders those that matter most first @param chosen channels of each searched width */
export function fromModel(
  { template, graph }: SearchSpace,
  orders: ChannelOrders,
  chosen: ChannelCounts,
): Promise<Model> {
  // In the order of the network, as far as they are there once.
  const sources = [...repeated(orders, chosen)].map(([id, channels]): [WidthId, number[]] => {
    const once = graph.widthOf(id).channels;
    return [id, [...channels.slice(0, once).toSorted((a, b) => a - b), ...channels.slice(once)]];
  });
  return deriveNetwork(template, graph, new Map(sources));
}

/** So many channels of each width in their order, and from its beginning again where there are not enough. */
export function repeated(orders: ChannelOrders, counts: ChannelCounts): Map<WidthId, number[]> {
  return new Map(
    [...counts].map(([id, count]) => {
      const order = orders.get(id)!;
      return [id, Array.from({ length: count }, (_, i) => order[i % order.length]!)];
    }),
  );
}

/** Channels in the order of the network. */
export function plainOrders({ widths }: WidthGraph): ChannelOrders {
  return new Map(widths.map(({ id, channels }) => [id, Array.from({ length: channels }, (_, i) => i)]));
}

/** Channels of each width, those that matter most first. */
export async function channelOrders({ template, graph }: SearchSpace): Promise<ChannelOrders> {
  const energies = await channelEnergies(template, graph);
  return new Map(
    [...energies].map(([id, own]) => [id, [...own.keys()].sort((a, b) => own[b]! - own[a]! || a - b)] as const),
  );
}

export async function fromNothing(
  { template, graph }: SearchSpace,
  chosen: ChannelCounts,
  seed: number,
): Promise<Model> {
  const model = await deriveNetwork(template, graph, repeated(plainOrders(graph), chosen));
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
