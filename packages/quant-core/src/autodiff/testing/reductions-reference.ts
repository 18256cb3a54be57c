import { intAttribute, intsAttribute } from '../../ir/index.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { map64, tensor64, zip64 } from './tensor64.js';

/** f of the elements that go into each element of the output. */
const reduce =
  (f: (values: readonly number[]) => number): ReferenceOp =>
  ([x, axesInput], node) => {
    const { shape, data } = x!;
    const listed = intsAttribute(node, 'axes', [...(axesInput?.data ?? [])]);
    const isReduced = (axis: number) =>
      listed.length === 0
        ? intAttribute(node, 'noop_with_empty_axes', 0) === 0
        : listed.some((given) => (given + shape.length) % shape.length === axis);
    const kept = shape.map((size, axis) => (isReduced(axis) ? 1 : size));
    const groups = new Map<string, number[]>();
    tensor64(shape, (index, flat) => {
      const key = index.map((i, axis) => (isReduced(axis) ? 0 : i)).join();
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key)!.push(data[flat]!);
      return 0;
    });
    const reduced = tensor64(kept, (index) => f(groups.get(index.join())!));
    if (intAttribute(node, 'keepdims', 1) === 1) return [reduced];
    return [{ shape: shape.filter((_, axis) => !isReduced(axis)), data: reduced.data }];
  };

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const squares = (values: readonly number[]) => total(values.map((value) => value * value));

/** f of two inputs, broadcast, folded over all. */
const fold = (inputs: readonly (Tensor64 | undefined)[], f: (a: number, b: number) => number): Tensor64 =>
  inputs.map((input) => input!).reduce((a, b) => zip64(a, b, f));

export const REDUCTIONS_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  ReduceSum: reduce(total),
  ReduceMean: reduce((values) => total(values) / values.length),
  ReduceSumSquare: reduce(squares),
  ReduceL2: reduce((values) => Math.sqrt(squares(values))),
  ReduceMax: reduce((values) => Math.max(...values)),
  ReduceMin: reduce((values) => Math.min(...values)),
  Sum: (inputs) => [fold(inputs, (a, b) => a + b)],
  Mean: (inputs) => [
    map64(
      fold(inputs, (a, b) => a + b),
      (value) => value / inputs.length,
    ),
  ],
  Max: (inputs) => [fold(inputs, Math.max)],
  Min: (inputs) => [fold(inputs, Math.min)],
};
