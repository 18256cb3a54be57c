/**
 * Windows that slide over the spatial axes. Output o of an axis sees, under tap t of its kernel, the input at
 *
 *   i = o·stride + t·dilation − begin
 */
import { intsAttribute, type Node, stringAttribute } from '../../ir/index.js';
import { UnsupportedGradient } from '../rule.js';
import type { Shape } from '../shaped-builder.js';

/** One number per spatial axis everywhere. */
export interface Windows {
  readonly inputs: Shape;
  readonly outputs: Shape;
  readonly kernel: Shape;
  readonly strides: Shape;
  readonly dilations: Shape;
  /** Padding in front. */
  readonly begins: Shape;
  /** How far the last window reaches behind the input; where negative, so many last inputs are under no window. */
  readonly reaches: Shape;
  /** Padding behind as the attributes have it: less than the reach where sizes are rounded up. */
  readonly ends: Shape;
}

/** Windows of a convolution or a pool. @param inputs, outputs spatial sizes */
export function windowsOf(
  node: Node,
  { inputs, outputs, kernel }: Pick<Windows, 'inputs' | 'outputs' | 'kernel'>,
): Windows {
  const steps = stepsOf(node, kernel);
  const needed = inputs.map((size, axis) => reach(steps, { axis, size, outputs, begin: 0 }));
  // Where windows leave gaps, onnxruntime centres them and takes from the front what others leave behind them.
  if (isSame(node) && needed.some((count) => count < -1)) refuseGaps(steps);
  return between({ ...steps, inputs, outputs }, padding(node, needed));
}

/**
 * Windows of the convolution that a ConvTranspose is the transpose of: from its output to its input.
 * @param inputs spatial sizes of the output of ConvTranspose
 */
export function transposedWindowsOf(
  node: Node,
  { inputs, outputs, kernel }: Pick<Windows, 'inputs' | 'outputs' | 'kernel'>,
): Windows {
  const steps = stepsOf(node, kernel);
  const extra = intsAttribute(
    node,
    'output_padding',
    kernel.map(() => 0),
  );
  const surplus = inputs.map((size, axis) => reach(steps, { axis, size, outputs, begin: 0 }) + extra[axis]!);
  // Here onnxruntime's output is smaller than others'.
  if (isSame(node) && surplus.some((count) => count < 0)) refuseGaps(steps);
  const isSized = intsAttribute(node, 'output_shape', null) !== null;
  return between({ ...steps, inputs, outputs }, isSized ? halves(node, surplus) : padding(node, surplus));
}

/** Of a pool, which must have the attribute. */
export function kernelOf(node: Node): Shape {
  return intsAttribute(node, 'kernel_shape', []);
}

/** Elements from the first tap of a kernel to its last. */
export function extent({ kernel, dilations }: Pick<Windows, 'kernel' | 'dilations'>, axis: number): number {
  return (kernel[axis]! - 1) * dilations[axis]! + 1;
}

type Steps = Pick<Windows, 'kernel' | 'strides' | 'dilations'>;

function stepsOf(node: Node, kernel: Shape): Steps {
  const ones = kernel.map(() => 1);
  return {
    kernel,
    strides: intsAttribute(node, 'strides', ones),
    dilations: intsAttribute(node, 'dilations', ones),
  };
}

function between(
  windows: Steps & Pick<Windows, 'inputs' | 'outputs'>,
  { begins, ends }: Pick<Windows, 'begins' | 'ends'>,
): Windows {
  const { inputs, outputs } = windows;
  const reaches = inputs.map((size, axis) => reach(windows, { axis, size, outputs, begin: begins[axis]! }));
  return { ...windows, begins, ends, reaches };
}

function reach(
  steps: Steps,
  { axis, size, outputs, begin }: { axis: number; size: number; outputs: Shape; begin: number },
): number {
  return (outputs[axis]! - 1) * steps.strides[axis]! + extent(steps, axis) - size - begin;
}

/** @param total of both sides, where it is not the attributes that tell them */
function padding(node: Node, total: Shape): Pick<Windows, 'begins' | 'ends'> {
  const none = total.map(() => 0);
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (isSame(node)) return halves(node, total);
  const pads = autoPad === 'VALID' ? [...none, ...none] : intsAttribute(node, 'pads', [...none, ...none]);
  return { begins: pads.slice(0, total.length), ends: pads.slice(total.length) };
}

/** An odd element goes behind with SAME_UPPER. Where an output size is given without it, ConvTranspose has it in front. */
function halves(node: Node, total: Shape): Pick<Windows, 'begins' | 'ends'> {
  const isUpper = stringAttribute(node, 'auto_pad', 'NOTSET') === 'SAME_UPPER';
  const counts = total.map((count) => Math.max(count, 0));
  const begins = counts.map((count) => (isUpper ? Math.floor(count / 2) : Math.ceil(count / 2)));
  return { begins, ends: counts.map((count, axis) => count - begins[axis]!) };
}

function isSame(node: Node): boolean {
  return stringAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME');
}

function refuseGaps({ strides, kernel }: Steps): never {
  throw new UnsupportedGradient(
    `runtimes disagree about auto_pad SAME with strides [${strides}] over a kernel [${kernel}]`,
  );
}
