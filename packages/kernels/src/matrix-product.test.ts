import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kernelInfo } from './index.js';
import { loadSubtractProduct, type StridedMatrix } from './matrix-product.js';

const { implementation, reason } = kernelInfo();
const skip = implementation === 'fallback' && (reason ?? true);

const rowMajor = (data: Float64Array, columns: number): StridedMatrix => ({
  data,
  start: 0,
  rowStride: columns,
  columnStride: 1,
});

describe('the native product of matrices', { skip }, () => {
  it('subtracts from the result, in memory of one thread and in shared memory', () => {
    const shared = (values: readonly number[]) => {
      const array = new Float64Array(new SharedArrayBuffer(8 * values.length));
      array.set(values);
      return array;
    };
    for (const make of [Float64Array.from.bind(Float64Array), shared]) {
      const c = make([100, 200, 300, 400]);
      loadSubtractProduct()(2, 2, 2, rowMajor(make([1, 2, 3, 4]), 2), rowMajor(make([5, 6, 7, 8]), 2), rowMajor(c, 2));
      assert.deepEqual([...c], [100 - 19, 200 - 22, 300 - 43, 400 - 50]);
    }
  });

  it('refuses arrays that are too short, of another type, and a result with gaps between columns', () => {
    const product = loadSubtractProduct();
    const matrix = rowMajor(new Float64Array(4), 2);
    const call =
      (a: StridedMatrix, c = matrix) =>
      () =>
        product(2, 2, 2, a, matrix, c);
    assert.throws(call({ ...matrix, start: 1 }), { name: 'RangeError', message: /^a has fewer elements/ });
    assert.throws(call({ ...matrix, rowStride: 3 }), { name: 'RangeError', message: /^a has fewer elements/ });
    assert.throws(call({ ...matrix, rowStride: -1 }), { name: 'RangeError', message: /^a\.rowStride/ });
    assert.throws(call(matrix, { ...matrix, rowStride: 2 ** 31 - 1 }), { message: /^c has fewer elements/ });
    assert.throws(call(matrix, { ...matrix, rowStride: 1, columnStride: 2 }), {
      message: /^c\.columnStride must be 1/,
    });
    const floats = { ...matrix, data: new Float32Array(4) as unknown as Float64Array };
    assert.throws(call(floats), { name: 'TypeError', message: 'a must be a Float64Array' });
  });
});
