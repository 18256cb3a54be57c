/**
 * Convolutions. With A the linear map of a convolution by the weight w from its input to its output,
 *
 *   Conv            y = A(w) x + b     x̄ = A(w)ᵀ ȳ     w̄ = weight gradient of (x, ȳ)     b̄ = Σ ȳ over images and places
 *   ConvTranspose   y = A(w)ᵀ x + b    x̄ = A(w) ȳ      w̄ = weight gradient of (ȳ, x)     b̄ as above
 *
 * convolution/input-gradient.ts has A(w)ᵀ, convolution/weight-gradient.ts the gradient of ⟨v, A(w) u⟩ by w.
 */
import { intAttribute, intsValue, intValue } from '../../ir/index.js';
import type { GradientRule, RuleInput } from '../rule.js';
import { transposeConvolution } from './convolution/input-gradient.js';
import { weightGradient } from './convolution/weight-gradient.js';
import { transposedWindowsOf, type Windows, windowsOf } from './windows.js';

const conv: GradientRule = (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  const [x, w] = node.inputs as [string, string];
  const group = intAttribute(node, 'group', 1);
  const sizes = { inputs: shapeOf(0).slice(2), outputs: b.shapeOf(dy).slice(2), kernel: shapeOf(1).slice(2) };
  const windows = windowsOf(node, sizes);
  return [
    wants(0) ? transposeConvolution(b, { y: dy, w, shape: shapeOf(0), windows, group }) : null,
    wants(1) ? weightGradient(b, { u: x, v: dy, shape: shapeOf(1), windows, group }) : null,
    wants(2) ? biasGradient(input) : null,
  ];
};

const convTranspose: GradientRule = (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  const [x, w] = node.inputs as [string, string];
  const group = intAttribute(node, 'group', 1);
  const sizes = { inputs: b.shapeOf(dy).slice(2), outputs: shapeOf(0).slice(2), kernel: shapeOf(1).slice(2) };
  const windows = transposedWindowsOf(node, sizes);
  return [
    wants(0) ? convolve(input, windows, w, group) : null,
    wants(1) ? weightGradient(b, { u: dy, v: x, shape: shapeOf(1), windows, group }) : null,
    wants(2) ? biasGradient(input) : null,
  ];
};

/** A(w) ȳ. Outputs of ConvTranspose behind the last window are fewer than a stride, so that rounding down leaves them out. */
function convolve({ b, dy, shapeOf }: RuleInput, windows: Windows, w: string, group: number): string {
  const { kernel, strides, dilations, begins, reaches } = windows;
  return b.add('Conv', [dy, w], shapeOf(0), {
    kernel_shape: intsValue(kernel),
    strides: intsValue(strides),
    dilations: intsValue(dilations),
    pads: intsValue([...begins, ...reaches.map((count) => Math.max(count, 0))]),
    group: intValue(group),
  });
}

function biasGradient({ b, dy }: RuleInput): string {
  const axes = b.shapeOf(dy).map((_, axis) => axis);
  return b.sum(dy, axes.toSpliced(1, 1));
}

export const CONVOLUTION_RULES: Readonly<Record<string, GradientRule>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
};
