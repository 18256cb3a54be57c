/** Parameters of a supernet after widths have grown: what there was keeps its place among the channels, the rest is new. */
import { elementCount } from '../../ir/index.js';
import { type Parameter, vectorLength } from '../../train/parameter-vector.js';
import type { TrainedTensor } from '../../train/trained-tensors.js';
import type { Segment } from '../widths/channel-layout.js';
import type { TensorLayout } from '../widths/width-analysis.js';
import { channelsWith, type WidthGraph } from '../widths/width-graph.js';
import type { WidthId } from '../widths/width-table.js';
import type { Supernet } from './supernet.js';

/** Channels of a class. */
export type WidthOf = (id: WidthId) => number;

/**
 * By position on an axis that has grown the one that it had before; −1 for what is new.
 * @param before @param after widths of the classes
 */
export function formerPositions(segments: readonly Segment[], before: WidthOf, after: WidthOf): number[] {
  let first = 0;
  return segments.flatMap(({ width, repeat }) => {
    const [had, has] = [before(width) * repeat, after(width) * repeat];
    const own = Array.from({ length: has }, (_, i) => (i < had ? first + i : -1));
    first += had;
    return own;
  });
}

/**
 * Copies a tensor into one whose axes have grown.
 * @param fresh values of what is new; called once for each
 */
export function growTensor(
  { from, to }: { readonly from: Float32Array; readonly to: Float32Array },
  shapes: { readonly before: readonly number[]; readonly after: readonly number[] },
  layout: TensorLayout,
  widths: { readonly before: WidthOf; readonly after: WidthOf },
  fresh: () => number,
): void {
  const former = shapes.after.map((size, axis) => {
    const channels = layout[axis] ?? null;
    if (channels === null) return Array.from({ length: size }, (_, i) => i);
    return formerPositions(channels.segments, widths.before, widths.after);
  });
  const at = new Array<number>(shapes.after.length).fill(0);
  for (let i = 0; i < to.length; i++) {
    let source = 0;
    for (const [axis, position] of at.entries()) {
      const had = former[axis]![position]!;
      source = had < 0 || source < 0 ? -1 : source * shapes.before[axis]! + had;
    }
    to[i] = source < 0 ? fresh() : from[source]!;
    advance(at, shapes.after);
  }
}

function advance(at: number[], shape: readonly number[]): void {
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (++at[axis]! < shape[axis]!) return;
    at[axis] = 0;
  }
}

/**
 * The vector of parameters of a supernet after it has grown. New weights are as large as those of their tensor, at random; everything else
 * that is new is zero, as it is mixed before it is used.
 * @param normal standard normal numbers, or zeros
 */
export function grownVector(
  vector: Float32Array,
  before: Supernet,
  after: Supernet,
  normal: () => number,
  graph: WidthGraph,
): Float32Array {
  const grown = new Float32Array(vectorLength(after.graphs.training.parameters));
  const former = new Map(before.graphs.training.parameters.map((parameter) => [parameter.name, parameter]));
  for (const parameter of after.graphs.training.parameters) {
    const had = former.get(parameter.name)!;
    const from = partOf(vector, had);
    const to = partOf(grown, parameter);
    const tensor = after.graphs.trained.get(parameter.name);
    const layout = layoutOf(tensor, after, graph);
    if (layout === null) {
      if (from.length === to.length) to.set(from);
      continue;
    }
    const size = Math.sqrt(from.reduce((sum, value) => sum + value * value, 0) / from.length);
    const fresh = tensor?.kind === 'weight' ? () => size * normal() : () => 0;
    const widths = { before: channelsWith(graph, before.channels), after: channelsWith(graph, after.channels) };
    growTensor({ from, to }, { before: had.shape, after: parameter.shape }, layout, widths, fresh);
  }
  return grown;
}

/** Null where a parameter does not follow the widths, or is mixed from what does. */
function layoutOf(tensor: TrainedTensor | undefined, { base }: Supernet, graph: WidthGraph): TensorLayout | null {
  const { initializers } = base.prepared.graph;
  if (tensor?.kind === 'weight') return graph.tensors.get(tensor.planned.layer.weightName) ?? null;
  if (tensor?.kind !== 'bias') return null;
  const name = [...initializers].find(([, constant]) => constant === tensor.planned.layer.bias)?.[0];
  return (name === undefined ? undefined : graph.tensors.get(name)) ?? null;
}

/** The part of a vector that a parameter has. */
function partOf(vector: Float32Array, { offset, shape }: Parameter): Float32Array {
  return vector.subarray(offset, offset + elementCount(shape));
}
