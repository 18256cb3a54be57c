import { elementCount, intAttribute, intsAttribute, type Node, stringAttribute } from '../../ir/index.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { at, tensor64 } from './tensor64.js';
import { slide } from './windows-reference.js';

/** Reduces what every window sees of every channel: the inputs under its taps, and how many taps are not beyond padding. */
function pool(x: Tensor64, node: Node, reduce: (values: readonly number[], paddedTaps: number) => number): Tensor64[] {
  const inputs = x.shape.slice(2);
  const { outputs, connections, paddedTaps } = slide(node, inputs, intsAttribute(node, 'kernel_shape', []));
  const seen = paddedTaps.map((): number[] => []);
  for (const { output, input } of connections) seen[output]!.push(input);
  const places = elementCount(inputs);
  return [
    tensor64([...x.shape.slice(0, 2), ...outputs], (_, flat) => {
      const [channel, output] = [Math.floor(flat / seen.length), flat % seen.length];
      return reduce(
        seen[output]!.map((input) => x.data[channel * places + input]!),
        paddedTaps[output]!,
      );
    }),
  ];
}

const maximum = (values: readonly number[]) => Math.max(...values);
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

const maxPool: ReferenceOp = ([x], node) => pool(x!, node, maximum);
const averagePool: ReferenceOp = ([x], node) => {
  const isPaddingCounted = intAttribute(node, 'count_include_pad', 0) === 1;
  return pool(x!, node, (values, paddedTaps) => sum(values) / (isPaddingCounted ? paddedTaps : values.length));
};

function globalPool(reduce: (values: readonly number[]) => number): ReferenceOp {
  return ([x]) => {
    const places = elementCount(x!.shape.slice(2));
    const shape = x!.shape.map((size, axis) => (axis < 2 ? size : 1));
    return [tensor64(shape, (_, flat) => reduce([...x!.data.slice(flat * places, (flat + 1) * places)]))];
  };
}

/** Resize to the scales or sizes that are given for all axes, or for those of the attribute. */
const resize: ReferenceOp = ([x, , scales, sizes], node) => {
  const axes = intsAttribute(node, 'axes', null) ?? x!.shape.map((_, axis) => axis);
  const isScaled = sizes === undefined;
  const shape = [...x!.shape];
  const factors = x!.shape.map(() => 1);
  for (const [i, axis] of axes.entries()) {
    shape[axis] = isScaled ? Math.floor(x!.shape[axis]! * scales!.data[i]!) : sizes.data[i]!;
    factors[axis] = isScaled ? scales!.data[i]! : shape[axis] / x!.shape[axis]!;
  }
  const interpolate = stringAttribute(node, 'mode', 'nearest') === 'linear' ? linear : nearest;
  return [
    tensor64(shape, (index) => {
      const source = index.map((o, axis) => sourceOf(node, o, [x!.shape[axis]!, shape[axis]!, factors[axis]!]));
      return interpolate(x!, source, node);
    }),
  ];
};

function sourceOf(node: Node, o: number, [from, to, scale]: readonly [number, number, number]): number {
  const halfPixel = (o + 0.5) / scale - 0.5;
  switch (stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel')) {
    case 'asymmetric':
      return o / scale;
    case 'align_corners':
      return to === 1 ? 0 : (o * (from - 1)) / (to - 1);
    case 'pytorch_half_pixel':
      return to === 1 ? 0 : halfPixel;
    case 'half_pixel_symmetric':
      return (from / 2) * (1 - to / (scale * from)) + halfPixel;
    default:
      return halfPixel;
  }
}

/** The element at whole coordinates, those beyond the edges at the edges. */
function clamped(x: Tensor64, index: readonly number[]): number {
  return at(
    x,
    index.map((i, axis) => Math.min(Math.max(i, 0), x.shape[axis]! - 1)),
  );
}

function nearest(x: Tensor64, source: readonly number[], node: Node): number {
  const mode = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const isHalf = (s: number) => s - Math.floor(s) === 0.5;
  return clamped(
    x,
    source.map((s) => {
      if (mode === 'floor' || (mode === 'round_prefer_floor' && isHalf(s))) return Math.floor(s);
      return mode === 'ceil' ? Math.ceil(s) : Math.round(s);
    }),
  );
}

function linear(x: Tensor64, source: readonly number[]): number {
  const axis = source.findIndex((s) => !Number.isInteger(s));
  if (axis < 0) return clamped(x, source);
  const below = Math.floor(source[axis]!);
  const part = source[axis]! - below;
  return (1 - part) * linear(x, source.with(axis, below)) + part * linear(x, source.with(axis, below + 1));
}

export const POOLING_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  AveragePool: averagePool,
  GlobalAveragePool: globalPool((values) => sum(values) / values.length),
  GlobalMaxPool: globalPool(maximum),
  MaxPool: maxPool,
  Resize: resize,
};
