import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gaussianWeights } from '../fgq/random-weights.js';
import { factorUpper, multiplyUpper, type Strided, solveTransposed, solveUpper, subtractProduct } from './index.js';
import { subtractProductPlainly } from './product.js';

const random = (count: number, seed: number) => Float64Array.from(gaussianWeights(count, seed));
const rowMajor = (data: Float64Array, columns: number): Strided => ({
  data,
  start: 0,
  rowStride: columns,
  columnStride: 1,
});

/** G·Gᵀ + I, [n, n]. */
function positiveDefinite(n: number, seed: number): Float64Array {
  const g = random(n * n, seed);
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < n; k++) sum += g[i * n + k]! * g[j * n + k]!;
      a[i * n + j] = sum;
    }
  }
  return a;
}

/** [rows, n]·[n, n], or times the transpose. */
function multiplyNaively(x: Float64Array, rows: number, m: Float64Array, n: number, transposed: boolean): Float64Array {
  return Float64Array.from({ length: rows * n }, (_, at) => {
    const [row, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let k = 0; k < n; k++) sum += x[row * n + k]! * (transposed ? m[j * n + k]! : m[k * n + j]!);
    return sum;
  });
}

function assertNear(actual: Float64Array, expected: Float64Array, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) <= tolerance * scale, `${i}: ${value} is not near ${expected[i]}`);
  });
}

/** Sizes on both sides of every block of the product and of the triangular algorithms. */
const SIZES = [1, 2, 5, 63, 64, 65, 130, 200];

describe('subtracting a product', () => {
  it('agrees with the plain formula at all sizes around its blocks', () => {
    for (const [rows, columns, depth] of [
      [1, 1, 1],
      [2, 3, 5],
      [3, 4, 256],
      [7, 257, 259],
      [73, 9, 300],
      [145, 6, 513],
    ] as const) {
      const [a, b, c] = [random(rows * depth, 1), random(depth * columns, 2), random(rows * columns, 3)];
      const expected = c.map((value, at) => {
        let sum = 0;
        for (let p = 0; p < depth; p++) {
          sum += a[Math.floor(at / columns) * depth + p]! * b[p * columns + (at % columns)]!;
        }
        return value - sum;
      });
      subtractProduct(rows, columns, depth, rowMajor(a, depth), rowMajor(b, columns), rowMajor(c, columns));
      assertNear(c, expected, depth * 2 ** -52);
    }
  });

  it('reads transposed operands and writes to a part of a matrix, and nowhere else', () => {
    const [rows, columns, depth] = [5, 6, 7];
    const [a, b] = [random(rows * depth, 4), random(depth * columns, 5)];
    const plain = new Float64Array(rows * columns);
    subtractProduct(rows, columns, depth, rowMajor(a, depth), rowMajor(b, columns), rowMajor(plain, columns));
    const turn = (m: Float64Array, high: number, wide: number) =>
      Float64Array.from({ length: m.length }, (_, i) => m[(i % high) * wide + Math.floor(i / high)]!);
    const wide = new Float64Array(8 * 10).fill(1);
    subtractProduct(
      rows,
      columns,
      depth,
      { data: turn(a, rows, depth), start: 0, rowStride: 1, columnStride: rows },
      { data: turn(b, depth, columns), start: 0, rowStride: 1, columnStride: depth },
      { data: wide, start: 23, rowStride: 10, columnStride: 1 },
    );
    wide.forEach((value, at) => {
      const [i, j] = [Math.floor(at / 10) - 2, (at % 10) - 3];
      const inside = i >= 0 && i < rows && j >= 0 && j < columns;
      assert.equal(value, inside ? 1 + plain[i * columns + j]! : 1);
    });
  });

  it('has the same bits with and without native code', () => {
    for (const [rows, columns, depth] of [
      [1, 1100, 1],
      [11, 13, 17],
      [100, 250, 600],
    ] as const) {
      const [a, b, c] = [random(rows * depth, 1), random(depth * columns, 2), random(rows * columns, 3)];
      const plain = c.slice();
      subtractProduct(rows, columns, depth, rowMajor(a, depth), rowMajor(b, columns), rowMajor(c, columns));
      subtractProductPlainly(rows, columns, depth, rowMajor(a, depth), rowMajor(b, columns), rowMajor(plain, columns));
      assert.deepEqual(c, plain);
    }
  });

  it('gives a row the same bits wherever it stands', () => {
    const [rows, columns, depth] = [80, 30, 300];
    const [a, b] = [random(rows * depth, 6), random(depth * columns, 7)];
    const all = new Float64Array(rows * columns);
    subtractProduct(rows, columns, depth, rowMajor(a, depth), rowMajor(b, columns), rowMajor(all, columns));
    for (const row of [0, 1, 71, 79]) {
      const one = new Float64Array(columns);
      const own = a.slice(row * depth, (row + 1) * depth);
      subtractProduct(1, columns, depth, rowMajor(own, depth), rowMajor(b, columns), rowMajor(one, columns));
      assert.deepEqual(one, all.slice(row * columns, (row + 1) * columns));
    }
  });
});

describe('the Cholesky factor', () => {
  it('is upper triangular, and its product with its transpose is the matrix', () => {
    for (const n of SIZES) {
      const a = positiveDefinite(n, n);
      const u = a.slice();
      assert.equal(factorUpper(u, n), true);
      u.forEach((value, at) => {
        if (at % n < Math.floor(at / n)) assert.equal(value, 0);
      });
      assertNear(multiplyNaively(u, n, u, n, true), a, n * 2 ** -50);
    }
  });

  it('is refused for a matrix that is indefinite, singular or not finite', () => {
    for (const n of [2, 65, 130]) {
      const indefinite = positiveDefinite(n, 1);
      indefinite[n + 1] = -1;
      assert.equal(factorUpper(indefinite, n), false);
      assert.equal(factorUpper(new Float64Array(n * n).fill(1), n), false);
      assert.equal(factorUpper(new Float64Array(n * n), n), false);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const broken = positiveDefinite(n, 1);
        broken[0] = value;
        assert.equal(factorUpper(broken, n), false);
      }
    }
  });
});

describe('an upper triangular matrix', () => {
  for (const n of SIZES) {
    const u = positiveDefinite(n, n + 1);
    factorUpper(u, n);
    const x = random(3 * n, n + 2);

    it(`of ${n} columns multiplies as the plain formula does`, () => {
      for (const transposed of [false, true]) {
        const expected = multiplyNaively(x, 3, u, n, transposed);
        assertNear(multiplyUpper(x, 3, u, n, transposed), expected, n * 2 ** -50);
      }
    });

    it(`of ${n} columns is undone by both solutions`, () => {
      const right = multiplyNaively(x, 3, u, n, false);
      solveUpper(right, 3, u, n);
      assertNear(right, x, 1e-9);
      const transposed = multiplyNaively(x, 3, u, n, true);
      solveTransposed(transposed, 3, u, n);
      assertNear(transposed, x, 1e-9);
    });
  }
});
