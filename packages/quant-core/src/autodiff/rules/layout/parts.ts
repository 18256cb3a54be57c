/**
 * Tensors out of parts, and parts of tensors.
 *
 *   Concat   the part of ȳ that came from the input
 *   Split    the gradients of the parts beside each other; zeros for those without one
 *   Slice    ȳ between zeros. With steps, zeros behind each element first, as the columns of a new axis:
 *
 *              [n] → [n, 1] → pad → [n, step] → [n · step] → pad or crop to the size of x
 *
 *            Negative steps read ȳ backwards; from there on they are positive.
 */
import { intAttribute } from '../../../ir/index.js';
import type { GradientRule, RuleInput } from '../../rule.js';
import type { ShapedBuilder } from '../../shaped-builder.js';
import { axisFromFront, staticInts } from '../static-ints.js';

export const concat: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const axis = axisFromFront(intAttribute(node, 'axis', 1), shapeOf(0).length);
  let end = 0;
  return node.inputs.map((_, i) => {
    const start = end;
    end += shapeOf(i)[axis]!;
    return wants(i) ? b.slice(dy, { axes: [axis], starts: [start], ends: [end] }) : null;
  });
};

export const split: GradientRule = ({ b, node, gradientOf, shapeOf }) => {
  const shape = shapeOf(0);
  const axis = axisFromFront(intAttribute(node, 'axis', 0), shape.length);
  const parts = node.outputs.map((output, i) => ({ gradient: gradientOf(i), shape: b.shapeOf(output) }));
  const reached = parts.filter(({ gradient }) => gradient !== null);
  if (reached.length > 1) {
    const values = parts.map((part) => part.gradient ?? b.expand(b.scalar(0), part.shape));
    return [b.concat(values, axis)];
  }
  const only = parts.indexOf(reached[0]!);
  const sizes = parts.map((part) => part.shape[axis]!);
  const start = sizes.slice(0, only).reduce((sum, size) => sum + size, 0);
  return [between(b, reached[0]!.gradient!, axis, start, shape[axis]!)];
};

/** Zeros in front of and behind x along one axis, so that x begins at `start` and the axis has `size` elements. */
function between(b: ShapedBuilder, x: string, axis: number, start: number, size: number): string {
  const shape = b.shapeOf(x);
  const none = shape.map(() => 0);
  return b.pad(x, none.with(axis, start), none.with(axis, size - start - shape[axis]!));
}

/** The elements start, start + step, … of an axis, `count` of them. */
interface Range {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

export const slice: GradientRule = async (input) => {
  const { b, dy, shapeOf } = input;
  const shape = shapeOf(0);
  const ranges = await slicedRanges(input);
  if (ranges.some(({ count }) => count === 0)) return [b.expand(b.scalar(0), shape)];
  const spread = spreadOut(b, forwards(b, dy, ranges), ranges);
  const begins = shape.map(() => 0);
  for (const { axis, start, step, count } of ranges) begins[axis] = step > 0 ? start : start + (count - 1) * step;
  const ends = b.shapeOf(spread).map((size, axis) => shape[axis]! - begins[axis]! - size);
  return [b.pad(spread, begins, ends)];
};

async function slicedRanges(input: RuleInput): Promise<Range[]> {
  const { b, node, shapeOf } = input;
  const [shape, sliced] = [shapeOf(0), b.shapeOf(node.outputs[0]!)];
  const starts = (await staticInts(input, 'starts', 1)) ?? [];
  const axes = await staticInts(input, 'axes', 3);
  const steps = await staticInts(input, 'steps', 4);
  return starts.map((given, i) => {
    const axis = axisFromFront(axes?.[i] ?? i, shape.length);
    const size = shape[axis]!;
    const step = steps?.[i] ?? 1;
    const start = Math.min(Math.max(axisFromFront(given, size), 0), step > 0 ? size : size - 1);
    return { axis, start, step, count: sliced[axis]! };
  });
}

/** With the axes of negative steps in reverse order. */
function forwards(b: ShapedBuilder, x: string, ranges: readonly Range[]): string {
  const backwards = ranges.filter(({ step, count }) => step < 0 && count > 1);
  if (backwards.length === 0) return x;
  return b.slice(x, {
    axes: backwards.map(({ axis }) => axis),
    starts: backwards.map(() => -1),
    ends: backwards.map(({ count }) => -count - 1),
    steps: backwards.map(() => -1),
  });
}

/** With the zeros of the steps behind each element. */
function spreadOut(b: ShapedBuilder, x: string, ranges: readonly Range[]): string {
  const shape = b.shapeOf(x);
  const steps = shape.map((_, axis) => Math.abs(ranges.find((range) => range.axis === axis)?.step ?? 1));
  const columns = shape.flatMap((size, axis) => (steps[axis] === 1 ? [size] : [size, 1]));
  const zeros = steps.flatMap((step) => (step === 1 ? [0] : [0, step - 1]));
  const padded = b.pad(
    b.reshape(x, columns),
    zeros.map(() => 0),
    zeros,
  );
  return b.reshape(
    padded,
    shape.map((size, axis) => size * steps[axis]!),
  );
}
