import { elementCount } from '../../ir/index.js';
import { broadcast } from '../shaped-builder.js';
import type { Tensor64 } from './reference.js';

/** A tensor from what it has at each index. */
export function tensor64(
  shape: readonly number[],
  valueAt: (index: readonly number[], flat: number) => number,
): Tensor64 {
  const data = new Float64Array(elementCount(shape));
  const index = shape.map(() => 0);
  for (let flat = 0; flat < data.length; flat++) {
    data[flat] = valueAt(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return { shape, data };
}

/** The element at an index of a shape that the tensor's own is broadcast to. */
export function at({ shape, data }: Tensor64, index: readonly number[]): number {
  const lead = index.length - shape.length;
  let flat = 0;
  for (const [axis, size] of shape.entries()) flat = flat * size + (size === 1 ? 0 : index[lead + axis]!);
  return data[flat]!;
}

export function map64({ shape, data }: Tensor64, f: (value: number) => number): Tensor64 {
  return { shape, data: data.map(f) };
}

export function zip64(a: Tensor64, b: Tensor64, f: (a: number, b: number) => number): Tensor64 {
  return tensor64(broadcast(a.shape, b.shape), (index) => f(at(a, index), at(b, index)));
}
