/**
 * A network with other widths, real narrower and wider layers, made from the channels of the one that there is:
 *
 *   new channel j of a width is a copy of channel s_j;   W′[o, i] = W[s_o, s_i] / n(s_i)
 *
 * with n(c) the number of copies of a channel. Where every channel has a copy the network computes what it did. A shortcut of empty
 * channels whose ends do not fit any more becomes a 1×1 convolution, which begins as the same mapping. It has a bias, zeros, for what a
 * normalization leaves behind in training.
 *
 * Source: Chen et al. 2016, "Net2Net", §3.2 (wider networks); Park et al. 2022, shortcuts at derivation.
 */
import {
  elementCount,
  type Graph,
  intsValue,
  intValue,
  type Model,
  NameAllocator,
  type Node,
  readFloats,
  readInts,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';
import { channelCount, type Segment } from './widths/channel-layout.js';
import type { PaddedShortcut, TensorLayout } from './widths/width-analysis.js';
import type { WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** For each new channel the channel that it is a copy of, by the id of the width; widths that are left out stay. */
export type ChannelSources = ReadonlyMap<WidthId, readonly number[]>;

/**
 * @param model that the graph of widths is of; stays as it is
 * @param shortcuts which shortcuts of empty channels become layers: those that have to, or all
 */
export async function deriveNetwork(
  model: Model,
  graph: WidthGraph,
  sources: ChannelSources,
  shortcuts: 'as-needed' | 'all' = 'as-needed',
): Promise<Model> {
  const channels = (id: WidthId) => sourcesOf(id, graph, sources).length;
  const initializers = new Map(model.graph.initializers);
  for (const [name, layout] of graph.tensors) {
    const tensor = initializers.get(name)!;
    if (layout.some((axis) => axis !== null)) initializers.set(name, await resized(tensor, layout, graph, sources));
  }
  for (const { constant, index, count } of graph.counts) {
    const tensor = initializers.get(constant)!;
    const values = await readInts(tensor);
    values[index] = BigInt(channelCount(count.segments, channels) / count.divisor);
    initializers.set(constant, tensorFromInt64(tensor.shape, values));
  }
  const derived: Graph = { ...model.graph, initializers, valueInfo: new Map() };
  const names = new NameAllocator(model);
  const replaced = new Map<Node, Node>();
  for (const { node, segments } of graph.depthwise) {
    const attributes = new Map(node.attributes).set('group', intValue(channelCount(segments, channels)));
    replaced.set(node, { ...node, attributes });
  }
  for (const shortcut of graph.shortcuts) {
    const [from, to] = [shortcut.from, shortcut.to].map((segments) => positions(segments, graph, sources)) as Both;
    if (shortcuts === 'as-needed' && isAsItWas(shortcut, graph, from, to)) continue;
    replaced.set(shortcut.node, projection(shortcut, { from, to }, names, derived));
  }
  return { ...model, graph: { ...derived, nodes: model.graph.nodes.map((node) => replaced.get(node) ?? node) } };
}

/** Where each new position of an axis comes from, and how many copies that has. */
interface Position {
  readonly source: number;
  readonly copies: number;
}
type Both = [Position[], Position[]];

function sourcesOf(id: WidthId, { widthOf }: WidthGraph, sources: ChannelSources): readonly number[] {
  const width = widthOf(id);
  return sources.get(width.id) ?? Array.from({ length: width.channels }, (_, i) => i);
}

function positions(segments: readonly Segment[], graph: WidthGraph, sources: ChannelSources): Position[] {
  const found: Position[] = [];
  let before = 0;
  for (const { width, repeat } of segments) {
    const own = sourcesOf(width, graph, sources);
    const copies = new Map<number, number>();
    for (const source of own) copies.set(source, (copies.get(source) ?? 0) + 1);
    for (const source of own)
      for (let i = 0; i < repeat; i++)
        found.push({ source: before + source * repeat + i, copies: copies.get(source)! });
    before += graph.widthOf(width).channels * repeat;
  }
  return found;
}

async function resized(
  tensor: Tensor,
  layout: TensorLayout,
  graph: WidthGraph,
  sources: ChannelSources,
): Promise<Tensor> {
  let [values, shape] = [await readFloats(tensor), [...tensor.shape]];
  for (const [axis, channels] of layout.entries()) {
    if (channels === null) continue;
    const chosen = positions(channels.segments, graph, sources);
    values = gathered(values, shape, axis, chosen, channels.isSummed);
    shape = shape.with(axis, chosen.length);
  }
  return tensorFromFloats(shape, values);
}

function gathered(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  chosen: readonly Position[],
  isSummed: boolean,
): Float32Array {
  const inner = elementCount(shape.slice(axis + 1));
  const outer = elementCount(shape.slice(0, axis));
  const result = new Float32Array(outer * chosen.length * inner);
  for (let o = 0; o < outer; o++)
    chosen.forEach(({ source, copies }, i) => {
      const from = (o * shape[axis]! + source) * inner;
      const to = (o * chosen.length + i) * inner;
      const share = isSummed ? 1 / copies : 1;
      for (let k = 0; k < inner; k++) result[to + k] = values[from + k]! * share;
    });
  return result;
}

function isAsItWas({ from, to }: PaddedShortcut, graph: WidthGraph, ...now: Both): boolean {
  const before = [from, to].map((segments) => positions(segments, graph, new Map()));
  return now.every((all, i) => all.length === before[i]!.length && all.every(({ source }, j) => source === j));
}

/** A 1×1 convolution in the place of empty channels. */
function projection(
  { node, begin }: PaddedShortcut,
  { from, to }: { readonly from: readonly Position[]; readonly to: readonly Position[] },
  names: NameAllocator,
  { initializers }: Graph,
): Node {
  const [x] = node.inputs as [string];
  const weights = new Float32Array(to.length * from.length);
  to.forEach((target, o) => {
    from.forEach(({ source, copies }, i) => {
      if (target.source === source + begin) weights[o * from.length + i] = 1 / copies;
    });
  });
  const weight = names.value(`${node.outputs[0]}_projection`);
  const bias = names.value(`${weight}_bias`);
  initializers.set(weight, tensorFromFloats([to.length, from.length, 1, 1], weights));
  initializers.set(bias, tensorFromFloats([to.length], new Float32Array(to.length)));
  const attributes = { kernel_shape: intsValue([1, 1]) };
  return makeNode(names.node(node.name), 'Conv', [x, weight, bias], [...node.outputs], attributes);
}
