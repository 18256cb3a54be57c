/**
 * The transpose of a convolution, as the faster of two forms:
 *
 *   strides of 1     Conv with flipped weights, input and output channels exchanged in each group,
 *                    padded by extent − 1 − begin in front and extent − 1 − reach behind
 *   other strides    ConvTranspose
 */
import { elementCount, intsValue, intValue } from '../../../ir/index.js';
import type { Shape, ShapedBuilder } from '../../shaped-builder.js';
import { extent, type Windows } from '../windows.js';

interface Transposed {
  /** In the shape of the convolution's output. */
  readonly y: string;
  /** [M, C / group, …kernel] */
  readonly w: string;
  /** Of the convolution's input. */
  readonly shape: Shape;
  readonly windows: Windows;
  readonly group: number;
}

/** A(w)ᵀ y, in the shape of the convolution's input. */
export function transposeConvolution(b: ShapedBuilder, given: Transposed): string {
  return given.windows.strides.every((stride) => stride === 1) ? flipped(b, given) : transposed(b, given);
}

function flipped(b: ShapedBuilder, { y, w, shape, windows, group }: Transposed): string {
  const { kernel, dilations, begins, reaches } = windows;
  const around = (counts: Shape) => counts.map((count, axis) => extent(windows, axis) - 1 - count);
  const [front, behind] = [around(begins), around(reaches)];
  // Windows that see padding alone have no part in it.
  const crop = (counts: Shape) => [0, 0, ...counts.map((count) => Math.min(count, 0))];
  return b.add('Conv', [b.pad(y, crop(front), crop(behind)), flipWeights(b, w, group)], shape, {
    kernel_shape: intsValue(kernel),
    dilations: intsValue(dilations),
    pads: intsValue([...front, ...behind].map((count) => Math.max(count, 0))),
    group: intValue(group),
  });
}

/** [M, C / group, …kernel] to [C, M / group, …kernel], each kernel reversed. */
function flipWeights(b: ShapedBuilder, w: string, group: number): string {
  const [m, c, ...kernel] = b.shapeOf(w) as [number, number, ...number[]];
  const taps = elementCount(kernel);
  // All axes of a kernel are reversed at once when they are one.
  const grouped = b.reshape(w, [group, m / group, c, taps]);
  const reversed =
    taps === 1 ? grouped : b.slice(grouped, { axes: [3], starts: [taps - 1], ends: [-taps - 1], steps: [-1] });
  const exchanged = c === 1 || m === group ? reversed : b.transpose(reversed, [0, 2, 1, 3]);
  return b.reshape(exchanged, [group * c, m / group, ...kernel]);
}

function transposed(b: ShapedBuilder, { y, w, shape, windows, group }: Transposed): string {
  const { kernel, strides, dilations, begins, reaches } = windows;
  return b.add('ConvTranspose', [y, w], shape, {
    kernel_shape: intsValue(kernel),
    strides: intsValue(strides),
    dilations: intsValue(dilations),
    pads: intsValue([...begins, ...reaches.map((count) => Math.max(count, 0))]),
    output_padding: intsValue(reaches.map((count) => Math.max(-count, 0))),
    group: intValue(group),
  });
}
