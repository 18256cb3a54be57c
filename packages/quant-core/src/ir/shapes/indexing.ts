import { intAttribute, intsAttribute } from '../attribute-access.js';
import type { Dimension } from '../graph.js';
import { add, axisIn, mapSize } from './dimensions.js';
import { inferred, type RuleInput, type ShapeRule, type ShapeRules, sameAsInput, staticInts } from './rule.js';

/** Parts of tensors, and tensors out of parts. */

const gather: ShapeRule = (rule) => {
  const [data, indices] = [rule.input(0), rule.input(1)];
  if (data.shape === null || indices.shape === null) return [inferred(data.dtype, null)];
  const axis = axisIn(data.shape.length, intAttribute(rule.node, 'axis', 0));
  if (axis === null) return [inferred(data.dtype, null)];
  const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
  return [inferred(data.dtype, shape, pick(data.ints, indices.ints))];
};

function pick(values: readonly Dimension[] | null, indices: readonly Dimension[] | null): Dimension[] | null {
  if (values === null || indices === null) return null;
  return indices.map((index) =>
    typeof index === 'number' ? (values[index < 0 ? index + values.length : index] ?? null) : null,
  );
}

const gatherNd: ShapeRule = (rule) => {
  const [data, indices] = [rule.input(0), rule.input(1)];
  const depth = indices.shape?.[indices.shape.length - 1];
  if (data.shape === null || indices.shape === null || typeof depth !== 'number') return [inferred(data.dtype, null)];
  const batch = intAttribute(rule.node, 'batch_dims', 0);
  return [inferred(data.dtype, [...indices.shape.slice(0, -1), ...data.shape.slice(batch + depth)])];
};

const concat: ShapeRule = (rule) => {
  const parts = rule.node.inputs.map((_, index) => rule.input(index));
  const first = parts[0];
  if (first === undefined || parts.some((part) => part.shape === null || part.shape.length !== first.shape!.length)) {
    return [inferred(first?.dtype ?? 'undefined', null)];
  }
  const axis = axisIn(first.shape!.length, intAttribute(rule.node, 'axis', 1));
  const shape = first.shape!.map((size, at) => {
    const sizes = parts.map((part) => part.shape![at]!);
    if (at === axis) return sizes.reduce<Dimension>(add, 0);
    return sizes.find((candidate) => typeof candidate === 'number') ?? size;
  });
  const known = parts.every((part) => part.ints !== null);
  return [inferred(first.dtype, shape, known ? parts.flatMap((part) => part.ints!) : null)];
};

const split: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const count = rule.node.outputs.length;
  const axis = shape && axisIn(shape.length, intAttribute(rule.node, 'axis', 0));
  if (shape === null || axis === null) return rule.node.outputs.map(() => inferred(dtype, null));
  const listed = rule.node.attributes.has('split') || rule.hasInput(1);
  const sizes = listed ? staticInts(rule, 'split', 1) : null;
  return rule.node.outputs.map((_, part) => {
    const even = mapSize(shape[axis], (n) =>
      Math.max(0, Math.min(Math.ceil(n / count), n - part * Math.ceil(n / count))),
    );
    const size = listed ? (sizes?.[part] ?? null) : even;
    return inferred(
      dtype,
      shape.map((whole, at) => (at === axis ? size : whole)),
    );
  });
};

const slice: ShapeRule = (rule) => {
  const { dtype, shape, ints } = rule.input(0);
  const starts = staticInts(rule, 'starts', 1);
  const ends = staticInts(rule, 'ends', 2);
  const hasAxes = rule.node.attributes.has('axes') || rule.hasInput(3);
  const axes = hasAxes ? staticInts(rule, 'axes', 3) : starts?.map((_, index) => index);
  const steps = rule.hasInput(4) ? rule.input(4).ints : null;
  if (shape === null) return [inferred(dtype, null)];
  if (axes == null)
    return [
      inferred(
        dtype,
        shape.map(() => null),
      ),
    ];
  const result: Dimension[] = [...shape];
  let picked: readonly Dimension[] | null = ints;
  axes.forEach((rawAxis, index) => {
    const axis = axisIn(shape.length, rawAxis);
    if (axis === null) return;
    const step = rule.hasInput(4) ? (steps?.[index] ?? null) : 1;
    const [size, start, end] = [shape[axis], starts?.[index], ends?.[index]];
    if (
      typeof size !== 'number' ||
      start === undefined ||
      end === undefined ||
      typeof step !== 'number' ||
      step === 0
    ) {
      result[axis] = null;
      picked = null;
      return;
    }
    const range = sliceRange(size, start, end, step);
    result[axis] = range.count;
    picked =
      picked &&
      Array.from({ length: Math.min(range.count, picked.length) }, (_, i) => picked![range.start + i * step] ?? null);
  });
  return [inferred(dtype, result, shape.length === 1 ? picked : null)];
};

function sliceRange(size: number, start: number, end: number, step: number): { start: number; count: number } {
  const limit = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + size : value));
  const from = step > 0 ? limit(start, 0, size) : limit(start, 0, size - 1);
  const to = step > 0 ? limit(end, 0, size) : limit(end, -1, size - 1);
  return { start: from, count: Math.max(0, Math.ceil((to - from) / step)) };
}

const pad: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  if (shape === null) return [inferred(dtype, null)];
  const pads = staticInts(rule, 'pads', 1) ?? intsAttribute(rule.node, 'paddings', null);
  const axes = padAxes(rule, shape.length);
  if (pads === null || axes === null)
    return [
      inferred(
        dtype,
        shape.map(() => null),
      ),
    ];
  const result = [...shape];
  axes.forEach((axis, index) => {
    if (axis === null) return;
    const extra = (pads[index] ?? 0) + (pads[index + axes.length] ?? 0);
    result[axis] = extra === 0 ? result[axis]! : mapSize(result[axis], (n) => n + extra);
  });
  return [inferred(dtype, result)];
};

function padAxes(rule: RuleInput, rank: number): readonly (number | null)[] | null {
  if (!rule.hasInput(3)) return Array.from({ length: rank }, (_, axis) => axis);
  return rule.input(3).ints?.map((axis) => (typeof axis === 'number' ? axisIn(rank, axis) : null)) ?? null;
}

const topK: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const k = rule.node.attributes.has('k') ? intAttribute(rule.node, 'k', null) : (rule.input(1).ints?.[0] ?? null);
  const axis = shape && axisIn(shape.length, intAttribute(rule.node, 'axis', -1));
  const top = shape?.map((size, at) => (at === axis ? k : size)) ?? null;
  return [inferred(dtype, top), inferred('int64', top)];
};

export const INDEXING_RULES: ShapeRules = {
  Gather: gather,
  GatherElements: (rule) => [inferred(rule.input(0).dtype, rule.input(1).shape)],
  GatherND: gatherNd,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  TopK: topK,
  ReverseSequence: sameAsInput,
  Scatter: sameAsInput,
  ScatterElements: sameAsInput,
  ScatterND: sameAsInput,
  TensorScatter: sameAsInput,
};
