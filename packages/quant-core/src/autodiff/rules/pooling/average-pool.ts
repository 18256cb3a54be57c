/**
 * Means of windows. With K taps in a kernel and count[o] ≤ K of them in the mean
 *
 *   y[o] = 1/count[o] · Σ over taps of x      x̄[i] = 1/K · Σ over windows o that see i of g[o],  g = ȳ · K / count
 *
 * as the fastest that fits:
 *
 *   strides of 1, no dilations     AveragePool of g
 *   windows side by side           g repeated (Resize), cut to the input
 *   otherwise                      the transpose of a depthwise convolution by 1/K
 */
import { elementCount, intAttribute, intsValue, intValue, stringValue, tensorFromFloats } from '../../../ir/index.js';
import type { GradientRule, RuleInput } from '../../rule.js';
import { type ShapedBuilder, sameShape } from '../../shaped-builder.js';
import { transposeConvolution } from '../convolution/input-gradient.js';
import { kernelOf, type Windows, windowsOf } from '../windows.js';

export const averagePool: GradientRule = (input) => {
  const { b, dy, node, shapeOf } = input;
  const shape = shapeOf(0);
  const windows = windowsOf(node, {
    inputs: shape.slice(2),
    outputs: b.shapeOf(dy).slice(2),
    kernel: kernelOf(node),
  });
  const g = weighted(input, windows);
  const { kernel, strides, dilations } = windows;
  const isDense = dilations.every((dilation) => dilation === 1);
  if (isDense && strides.every((stride) => stride === 1)) return [slide(b, g, windows)];
  if (isDense && sameShape(strides, kernel)) return [b.scaled(repeat(b, g, windows), 1 / elementCount(kernel))];
  const w = b.filled([shape[1]!, 1, ...kernel], 1 / elementCount(kernel));
  return [transposeConvolution(b, { y: g, w, shape, windows, group: shape[1]! })];
};

export const globalAveragePool: GradientRule = ({ b, dy, shapeOf }) => {
  const shape = shapeOf(0);
  return [b.expand(b.scaled(dy, 1 / elementCount(shape.slice(2))), shape)];
};

/** g = ȳ · K / count. */
function weighted({ b, dy, node }: RuleInput, windows: Windows): string {
  const isPaddingCounted = intAttribute(node, 'count_include_pad', 0) === 1;
  const shares = windows.kernel.map((taps, axis) => countTaps(windows, axis, isPaddingCounted).map((n) => taps / n));
  const factors = shares.reduce((outer, inner) => outer.flatMap((a) => inner.map((share) => a * share)), [1]);
  if (factors.every((factor) => factor === 1)) return dy;
  const tensor = tensorFromFloats([1, 1, ...windows.outputs], Float32Array.from(factors));
  return b.binary('Mul', dy, b.constant('shares', tensor));
}

/** By output of an axis, how many of its taps are in the mean: never padding beyond what the attributes ask for. */
function countTaps(windows: Windows, axis: number, isPaddingCounted: boolean): number[] {
  const [begin, size] = [windows.begins[axis]!, windows.inputs[axis]!];
  const [low, high] = isPaddingCounted ? [-begin, size + windows.ends[axis]!] : [0, size];
  return Array.from({ length: windows.outputs[axis]! }, (_, o) => {
    const first = o * windows.strides[axis]! - begin;
    const taps = Array.from({ length: windows.kernel[axis]! }, (_, t) => first + t * windows.dilations[axis]!);
    return Math.max(1, taps.filter((at) => at >= low && at < high).length);
  });
}

function slide(b: ShapedBuilder, g: string, { inputs, kernel, begins, reaches }: Windows): string {
  const around = (counts: readonly number[]) => counts.map((count, axis) => kernel[axis]! - 1 - count);
  return b.add('AveragePool', [g], [...b.shapeOf(g).slice(0, 2), ...inputs], {
    kernel_shape: intsValue(kernel),
    pads: intsValue([...around(begins), ...around(reaches)]),
    count_include_pad: intValue(1),
  });
}

function repeat(b: ShapedBuilder, g: string, { kernel, begins, reaches }: Windows): string {
  const shape = b.shapeOf(g).map((size, axis) => size * (kernel[axis - 2] ?? 1));
  const scales = b.constant('scales', tensorFromFloats([shape.length], Float32Array.of(1, 1, ...kernel)));
  const repeated = b.add('Resize', [g, '', scales], shape, {
    mode: stringValue('nearest'),
    coordinate_transformation_mode: stringValue('asymmetric'),
    nearest_mode: stringValue('floor'),
  });
  const cut = (counts: readonly number[]) => [0, 0, ...counts.map((count) => (count === 0 ? 0 : -count))];
  return b.pad(repeated, cut(begins), cut(reaches));
}
