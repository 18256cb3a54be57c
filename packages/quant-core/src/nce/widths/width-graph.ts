/**
 * START HERE: which numbers of channels of a network may be chosen, and which must be equal.
 *
 *   a layer makes channels                      → a width of its own
 *   an addition, a depthwise convolution, …     → ties widths, with the reason
 *   whatever cannot be followed                 → pins widths, with the reason
 *
 * Values are followed from the inputs to the outputs. What is found says also how every constant changes with the widths.
 */
import { elementCount, GraphIndex, inferShapes, type Model, type Node, readInts, type Tensor } from '../../ir/index.js';
import { pinInputs, type WidthRule } from './rule.js';
import { ARRANGEMENT_RULES } from './rules/arrangement.js';
import { ELEMENTWISE_RULES } from './rules/elementwise.js';
import { LAYER_RULES } from './rules/layers.js';
import {
  type CountedElement,
  type DepthwiseNode,
  type PaddedShortcut,
  type TensorLayout,
  WidthAnalysis,
} from './width-analysis.js';
import type { Width, WidthId } from './width-table.js';

export interface WidthGraph {
  /** In the order of the graph. */
  readonly widths: readonly Width[];
  /** Ids in layouts stand for classes: see `widthOf`. */
  readonly widthOf: (id: WidthId) => Width;
  /** By initializer, of those that change. */
  readonly tensors: ReadonlyMap<string, TensorLayout>;
  readonly counts: readonly CountedElement[];
  readonly depthwise: readonly DepthwiseNode[];
  readonly shortcuts: readonly PaddedShortcut[];
}

const RULES: Readonly<Record<string, WidthRule>> = { ...LAYER_RULES, ...ELEMENTWISE_RULES, ...ARRANGEMENT_RULES };
/** Longer tensors of integers are no shapes. */
const MOST_INTS = 64;

/** Whether the search may choose a width: some layer makes its channels, and nothing keeps them. */
export function isFree({ layers, pins }: Width): boolean {
  return layers.length > 0 && pins.length === 0;
}

/** Numbers of channels by class; classes that are left out have as many as in the network. */
export type ChannelCounts = ReadonlyMap<WidthId, number>;

/** Channels of any width, by its own id or that of its class. */
export function channelsWith(
  { widthOf }: Pick<WidthGraph, 'widthOf'>,
  counts: ChannelCounts,
): (width: WidthId) => number {
  return (width) => {
    const { id, channels } = widthOf(width);
    return counts.get(id) ?? channels;
  };
}

/** @param model prepared; stays as it is */
export async function widthGraph(model: Model): Promise<WidthGraph> {
  const { graph } = model;
  const shapes = inferShapes(model);
  const index = new GraphIndex(graph);
  const ints = await smallInts(graph.initializers);
  const analysis = new WidthAnalysis({
    sizesOf: (value) =>
      shapes.get(value, graph)?.shape?.map((size) => (typeof size === 'number' ? size : null)) ?? null,
    constantOf: (value) => graph.initializers.get(value),
    intsOf: (value) => ints.get(value),
  });
  for (const node of graph.nodes) follow(node, analysis);
  for (const { name } of graph.outputs) {
    const layout = analysis.layoutOf(name);
    const node = index.producerOf(name)?.name ?? name;
    if (layout !== null) analysis.pin(layout.segments, { node, why: 'is an output of the network' });
  }
  const { widths, tensors, counts, depthwise, shortcuts } = analysis;
  return { widths: widths.all(), widthOf: (id) => widths.of(id), tensors, counts, depthwise, shortcuts };
}

function follow(node: Node, analysis: WidthAnalysis): void {
  const rule = node.domain === '' ? RULES[node.opType] : undefined;
  const problem = rule === undefined ? 'is an operator that widths cannot be followed through' : rule(node, analysis);
  if (problem !== null) pinInputs(node, analysis, `${node.opType} ${problem}`);
}

async function smallInts(initializers: ReadonlyMap<string, Tensor>): Promise<Map<string, number[]>> {
  const small = new Map<string, number[]>();
  for (const [name, tensor] of initializers) {
    const isSmall = elementCount(tensor.shape) <= MOST_INTS;
    if (isSmall && tensor.dtype === 'int64') small.set(name, (await readInts(tensor)).map(Number));
  }
  return small;
}
