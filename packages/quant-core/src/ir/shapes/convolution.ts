import { intAttribute, intsAttribute, stringAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import type { Dimension } from '../graph.js';
import { mapSize, multiply, type Shape } from './dimensions.js';
import { inferred, type RuleInput, type ShapeRule, type ShapeRules } from './rule.js';

/** Windows that slide over the spatial axes: convolutions and pools. Activations are N × C × spatial. */
interface Sliding {
  readonly kernel: readonly Dimension[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begins of all axes, then ends. */
  readonly pads: readonly number[];
  readonly autoPad: string;
}

function slidingOf(rule: RuleInput, kernel: readonly Dimension[]): Sliding {
  const { node } = rule;
  const ones = kernel.map(() => 1);
  return {
    kernel,
    strides: intsAttribute(node, 'strides', ones),
    dilations: intsAttribute(node, 'dilations', ones),
    pads: intsAttribute(
      node,
      'pads',
      [...kernel, ...kernel].map(() => 0),
    ),
    autoPad: stringAttribute(node, 'auto_pad', 'NOTSET'),
  };
}

function slide(spatial: Shape, windows: Sliding, ceil: boolean): Dimension[] {
  return spatial.map((size, axis) => {
    const stride = windows.strides[axis] ?? 1;
    if (windows.autoPad.startsWith('SAME')) return mapSize(size, (n) => Math.ceil(n / stride));
    const pads =
      windows.autoPad === 'VALID' ? 0 : (windows.pads[axis] ?? 0) + (windows.pads[axis + spatial.length] ?? 0);
    const kernel = windows.kernel[axis];
    if (typeof kernel !== 'number') return null;
    const extent = (kernel - 1) * (windows.dilations[axis] ?? 1) + 1;
    return mapSize(size, (n) => windowCount(n + pads - extent, stride, ceil, n + (windows.pads[axis] ?? 0)));
  });
}

function windowCount(room: number, stride: number, ceil: boolean, startLimit: number): number {
  if (!ceil) return Math.floor(room / stride) + 1;
  const count = Math.ceil(room / stride) + 1;
  // A last window that would start in the end padding is dropped.
  return (count - 1) * stride >= startLimit ? count - 1 : count;
}

function convolution(weightIndex: number, dtypeOf: (rule: RuleInput) => DataType): ShapeRule {
  return (rule) => {
    const x = rule.input(0).shape;
    const w = rule.input(weightIndex).shape;
    if (x === null || w === null || x.length < 3 || x.length !== w.length) return [inferred(dtypeOf(rule), null)];
    const kernel = intsAttribute(rule.node, 'kernel_shape', null) ?? w.slice(2);
    const spatial = slide(x.slice(2), slidingOf(rule, kernel), false);
    return [inferred(dtypeOf(rule), [x[0]!, w[0]!, ...spatial])];
  };
}

const convTranspose: ShapeRule = (rule) => {
  const x = rule.input(0).shape;
  const w = rule.input(1).shape;
  const { dtype } = rule.input(0);
  if (x === null || w === null || x.length < 3 || x.length !== w.length) return [inferred(dtype, null)];
  const channels = multiply(w[1]!, intAttribute(rule.node, 'group', 1));
  const outputShape = intsAttribute(rule.node, 'output_shape', null);
  const windows = slidingOf(rule, intsAttribute(rule.node, 'kernel_shape', null) ?? w.slice(2));
  const outputPadding = intsAttribute(rule.node, 'output_padding', []);
  const spatial = x.slice(2).map((size, axis): Dimension => {
    if (outputShape !== null) return outputShape.slice(-(x.length - 2))[axis] ?? null;
    const stride = windows.strides[axis] ?? 1;
    if (windows.autoPad.startsWith('SAME')) return mapSize(size, (n) => n * stride);
    const kernel = windows.kernel[axis];
    if (typeof kernel !== 'number') return null;
    const pads = windows.autoPad === 'VALID' ? 0 : (windows.pads[axis] ?? 0) + (windows.pads[axis + x.length - 2] ?? 0);
    const extent = (kernel - 1) * (windows.dilations[axis] ?? 1) + 1;
    return mapSize(size, (n) => stride * (n - 1) + (outputPadding[axis] ?? 0) + extent - pads);
  });
  return [inferred(dtype, [x[0]!, channels, ...spatial])];
};

const pool: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const kernel = intsAttribute(rule.node, 'kernel_shape', null);
  if (shape === null || kernel === null || shape.length !== kernel.length + 2) return [inferred(dtype, null)];
  const ceil = intAttribute(rule.node, 'ceil_mode', 0) === 1;
  const pooled = [...shape.slice(0, 2), ...slide(shape.slice(2), slidingOf(rule, kernel), ceil)];
  return [inferred(dtype, pooled), inferred('int64', pooled)];
};

const globalPool: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  return [inferred(dtype, shape?.map((size, axis) => (axis < 2 ? size : 1)) ?? null)];
};

export const CONVOLUTION_RULES: ShapeRules = {
  Conv: convolution(1, (rule) => rule.input(0).dtype),
  ConvInteger: convolution(1, () => 'int32'),
  QLinearConv: convolution(3, (rule) => rule.input(7).dtype),
  ConvTranspose: convTranspose,
  AveragePool: pool,
  LpPool: pool,
  MaxPool: pool,
  GlobalAveragePool: globalPool,
  GlobalLpPool: globalPool,
  GlobalMaxPool: globalPool,
};
