/**
 * The gradient of ⟨v, A(w) u⟩ by the weight: u as the input of the convolution, v as its output.
 *
 *   w̄[m, c, t] = Σ over n, o of v[n, m, o] · u[n, c, o·stride + t·dilation − begin]
 *
 * This is a convolution again, in which images are input channels, v is the kernel, its taps o are `stride` apart and
 * its outputs t `dilation`. The channels c are one more axis of the image, innermost, so that one operator makes them all;
 * it runs at the speed of the forward convolution. Other forms for
 *
 *   1×1          a product of matrices
 *   depthwise    for every tap a sum over v · (u under the tap), channels innermost: a product of matrices would have one row
 */
import { elementCount, intsValue, intValue } from '../../../ir/index.js';
import type { Shape, ShapedBuilder } from '../../shaped-builder.js';
import type { Windows } from '../windows.js';

interface Correlated {
  /** [N, C, …inputs] */
  readonly u: string;
  /** [N, M, …outputs] */
  readonly v: string;
  /** Of the weight: [M, C / group, …kernel]. */
  readonly shape: Shape;
  readonly windows: Windows;
  readonly group: number;
}

/** w̄ in the shape of the weight. */
export function weightGradient(b: ShapedBuilder, given: Correlated): string {
  const { shape, windows, group } = given;
  const { kernel, begins, reaches } = windows;
  if (shape[0] === group && shape[1] === 1) return byTaps(b, given);
  const isPadded = [...begins, ...reaches].some((count) => count > 0);
  return elementCount(kernel) === 1 && !isPadded ? asProduct(b, given) : asConvolution(b, given);
}

/** The taps of v are a kernel over u as [1, group · N, …inputs, C / group]. */
function asConvolution(b: ShapedBuilder, { u, v, shape, windows, group }: Correlated): string {
  const { inputs, outputs, kernel, strides, dilations, begins, reaches } = windows;
  const [n, m, c] = [b.shapeOf(u)[0]!, shape[0]!, shape[1]!];
  const axes = inputs.map((_, axis) => axis);
  const grouped = b.reshape(u, [n, group, c, ...inputs]);
  const inner = b.transpose(grouped, [1, 0, ...axes.map((axis) => axis + 3), 2]);
  const image = crop(b, b.reshape(inner, [1, group * n, ...inputs, c]), reaches);
  const taps = b.transpose(v, [1, 0, ...axes.map((axis) => axis + 2)]);
  const ends = reaches.map((count) => Math.max(count, 0));
  const along = { image: b.shapeOf(image).slice(2), taps: [...outputs, 1], result: [...kernel, c] };
  const spacing = {
    strides: [...dilations, 1],
    dilations: [...strides, 1],
    begins: [...begins, 0],
    ends: [...ends, 0],
  };
  // One axis less is faster: steps of one element along the last axis are steps of c along it and the channels.
  const isMerged = dilations.at(-1) === 1;
  const fold = (sizes: Shape) => (isMerged ? [...sizes.slice(0, -2), sizes.at(-2)! * sizes.at(-1)!] : sizes);
  const scale = (steps: Shape, by: number) => (isMerged ? [...steps.slice(0, -2), steps.at(-2)! * by] : steps);
  const result = b.add(
    'Conv',
    [b.reshape(image, [1, group * n, ...fold(along.image)]), b.reshape(taps, [m, n, ...fold(along.taps)])],
    [1, m, ...fold(along.result)],
    {
      kernel_shape: intsValue(fold(along.taps)),
      strides: intsValue(scale(spacing.strides, 1)),
      dilations: intsValue(scale(spacing.dilations, c)),
      pads: intsValue([...scale(spacing.begins, c), ...scale(spacing.ends, c)]),
      group: intValue(group),
    },
  );
  return b.transpose(b.reshape(result, [m, ...kernel, c]), [0, kernel.length + 1, ...axes.map((axis) => axis + 1)]);
}

/** Takes the inputs away that are under no window. @param image [1, N, …inputs, C] */
function crop(b: ShapedBuilder, image: string, reaches: Shape): string {
  const none = b.shapeOf(image).map(() => 0);
  return b.pad(image, none, [0, 0, ...reaches.map((count) => Math.min(count, 0)), 0]);
}

/** w̄ = Σₙ vₙ uₙᵀ, places P: per image and then summed, or in one product of longer rows where the summands are large. */
function asProduct(b: ShapedBuilder, { u, v, shape, windows, group }: Correlated): string {
  const [n, m, c] = [b.shapeOf(u)[0]!, shape[0]! / group, shape[1]!];
  const places = elementCount(windows.outputs);
  const left = b.reshape(v, [n, group, m, places]);
  const right = b.reshape(underTap(b, u, { windows, tap: windows.kernel.map(() => 0), firstAxis: 2 }), [
    n,
    group,
    c,
    places,
  ]);
  if (m * c <= places * (m + c)) return b.reshape(b.sum(b.matMul(left, b.matrixTranspose(right)), [0]), shape);
  const rows = b.reshape(b.transpose(left, [1, 2, 0, 3]), [group, m, n * places]);
  const columns = b.reshape(b.transpose(right, [1, 0, 3, 2]), [group, n * places, c]);
  return b.reshape(b.matMul(rows, columns), shape);
}

function byTaps(b: ShapedBuilder, { u, v, shape, windows }: Correlated): string {
  const { kernel, begins, reaches } = windows;
  const spatial = kernel.map((_, axis) => axis + 2);
  const channelsLast = [0, ...spatial, 1];
  const ends = reaches.map((count) => Math.max(count, 0));
  const padded = b.pad(b.transpose(u, channelsLast), [0, ...begins, 0], [0, ...ends, 0]);
  const factor = b.transpose(v, channelsLast);
  const sums = tapsOf(kernel).map((tap) => {
    const product = b.binary('Mul', underTap(b, padded, { windows, tap, firstAxis: 1 }), factor);
    return b.reshape(b.sum(product, [0, ...kernel.map((_, axis) => axis + 1)]), [shape[0]!, 1]);
  });
  return b.reshape(b.concat(sums, 1), shape);
}

/** What all windows have under one tap. */
function underTap(
  b: ShapedBuilder,
  u: string,
  { windows, tap, firstAxis }: { windows: Windows; tap: Shape; firstAxis: number },
): string {
  const { outputs, strides, dilations } = windows;
  const axes = outputs.map((_, axis) => axis + firstAxis);
  const starts = tap.map((index, axis) => index * dilations[axis]!);
  const ends = starts.map((start, axis) => start + (outputs[axis]! - 1) * strides[axis]! + 1);
  const isWhole = axes.every(
    (at, axis) => starts[axis] === 0 && ends[axis] === b.shapeOf(u)[at] && strides[axis] === 1,
  );
  return isWhole ? u : b.slice(u, { axes, starts, ends, steps: strides });
}

/** Indices of a kernel, row-major. */
function tapsOf(kernel: Shape): Shape[] {
  return kernel.reduce<Shape[]>(
    (taps, size) => taps.flatMap((tap) => Array.from({ length: size }, (_, index) => [...tap, index])),
    [[]],
  );
}
