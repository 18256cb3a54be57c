/**
 * What a network costs as a function of its widths: sums of products of numbers of channels, so that it is linear in each of them and
 * its mean over independent widths is its value at their means.
 *
 *   multiply-accumulates   Σ layers       positions · taps · in(c) · out(c)       of one sample
 *   parameters             Σ constants    fixed axes · Π axes(c)                  floating-point values that the network computes with
 */
import { TritforgeError } from '@tritforge/contracts';
import {
  elementCount,
  isFloat,
  type Model,
  type Node,
  shapesOfOneSample,
  type Tensor,
  valuesUsedBy,
} from '../ir/index.js';
import { channelCount, type Segment } from './widths/channel-layout.js';
import type { PaddedShortcut } from './widths/width-analysis.js';
import { type ChannelCounts, channelsWith, type WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** A product of a constant and of lengths of axes. */
export interface CostTerm {
  readonly factor: number;
  readonly axes: readonly (readonly Segment[])[];
  /** Counts only where the ends of this shortcut have other widths than in the network as it is: it is a layer then. */
  readonly projects: PaddedShortcut | null;
}

export interface NetworkCost {
  readonly macs: readonly CostTerm[];
  readonly parameters: readonly CostTerm[];
}

const AS_IT_IS: ChannelCounts = new Map();
/** Layers that multiply a constant weight, all of it, for each of their positions. */
const LAYERS: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);

/** @throws TritforgeError MODEL_NOT_SEARCHABLE for layers with outputs of unknown size */
export function networkCost(model: Model, graph: WidthGraph): NetworkCost {
  const { initializers, nodes } = model.graph;
  const shapes = shapesOfOneSample(model);
  const sizesOf = (value: string) => {
    const shape = shapes.get(value, model.graph)?.shape;
    if (!shape?.every((size) => typeof size === 'number')) throw uncounted(value);
    return shape;
  };
  const termOf = (name: string, tensor: Tensor, factor: number): CostTerm => {
    const layout = graph.tensors.get(name) ?? [];
    const fixed = elementCount(tensor.shape.filter((_, axis) => (layout[axis] ?? null) === null));
    const axes = layout.flatMap((axis) => (axis === null ? [] : [axis.segments]));
    return { factor: factor * fixed, axes, projects: null };
  };
  const macs = nodes.flatMap((node) => {
    const weight = initializers.get(node.inputs[1] ?? '');
    if (!LAYERS.has(node.opType) || weight === undefined) return [];
    return [termOf(node.inputs[1]!, weight, positionsOf(node, sizesOf))];
  });
  const used = new Set(nodes.flatMap((node) => [...valuesUsedBy(node)]));
  const parameters = [...initializers].flatMap(([name, tensor]) =>
    used.has(name) && isFloat(tensor.dtype) ? [termOf(name, tensor, 1)] : [],
  );
  const projections = graph.shortcuts.map((shortcut) => {
    const { node, from, to } = shortcut;
    const positions = elementCount(sizesOf(node.outputs[0]!).slice(2));
    const [weight, bias] = [[from, to], [to]].map((axes): CostTerm => ({ factor: 1, axes, projects: shortcut }));
    return { positions, weight: weight!, bias: bias! };
  });
  return {
    macs: [...macs, ...projections.map(({ positions, weight }) => ({ ...weight, factor: positions }))],
    parameters: [...parameters, ...projections.flatMap(({ weight, bias }) => [weight, bias])],
  };
}

/** @param counts expected ones too; without them, of the network as it is */
export function costOf(terms: readonly CostTerm[], graph: WidthGraph, counts: ChannelCounts = AS_IT_IS): number {
  const lengthOf = lengths(graph, counts);
  return inForce(terms, graph, counts).reduce(
    (sum, { factor, axes }) => sum + axes.reduce((product, axis) => product * lengthOf(axis), factor),
    0,
  );
}

/** Derivatives of {@link costOf} by the channels of each class that matters. */
export function costGradient(
  terms: readonly CostTerm[],
  graph: WidthGraph,
  counts: ChannelCounts,
): Map<WidthId, number> {
  const lengthOf = lengths(graph, counts);
  const gradient = new Map<WidthId, number>();
  for (const { factor, axes } of inForce(terms, graph, counts))
    for (const [i, axis] of axes.entries()) {
      const others = axes.toSpliced(i, 1).reduce((product, other) => product * lengthOf(other), factor);
      for (const { width, repeat } of axis) {
        const { id } = graph.widthOf(width);
        gradient.set(id, (gradient.get(id) ?? 0) + others * repeat);
      }
    }
  return gradient;
}

function lengths(graph: WidthGraph, counts: ChannelCounts): (axis: readonly Segment[]) => number {
  const channels = channelsWith(graph, counts);
  return (axis) => channelCount(axis, channels);
}

function inForce(terms: readonly CostTerm[], graph: WidthGraph, counts: ChannelCounts): CostTerm[] {
  const channels = channelsWith(graph, counts);
  const isChanged = ({ from, to }: PaddedShortcut) =>
    [...from, ...to].some(({ width }) => channels(width) !== graph.widthOf(width).channels);
  return terms.filter(({ projects }) => projects === null || isChanged(projects));
}

/** How often a layer uses each element of its weight for one sample. */
function positionsOf(node: Node, sizesOf: (value: string) => readonly number[]): number {
  if (node.opType === 'ConvTranspose') return elementCount(sizesOf(node.inputs[0]!).slice(2));
  const sizes = sizesOf(node.outputs[0]!);
  const [batch = 1] = sizes;
  return node.opType === 'Conv' ? elementCount(sizes.slice(2)) : elementCount(sizes.slice(0, -1)) / batch;
}

function uncounted(value: string): TritforgeError {
  const message = `What the layers cost cannot be told: the size of ${value} is not known before the network is run`;
  return new TritforgeError('MODEL_NOT_SEARCHABLE', message, {
    field: 'model',
    remediation: 'Export the network with fixed sizes of all dimensions but the batch.',
  });
}
