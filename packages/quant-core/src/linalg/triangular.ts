/** Products and solutions with an upper triangular matrix U, [n, n] row-major, below whose diagonal are zeros. */
import { type Strided, subtractProduct } from './product.js';

/** Columns that are solved one by one between two products. */
const BLOCK = 64;

/**
 * Solves X·Uᵀ = B in place, for every row of X: from the last column backwards.
 *
 *   x_j = (b_j − Σ_{k>j} x_k U_jk) / U_jj
 *
 * @param x B on entry, X on return, [rows, n] row-major
 */
export function solveTransposed(x: Float64Array, rows: number, upper: Float64Array, n: number): void {
  for (let end = n; end > 0; end -= BLOCK) {
    const start = Math.max(0, end - BLOCK);
    subtractProduct(
      rows,
      end - start,
      n - end,
      { data: x, start: end, rowStride: n, columnStride: 1 },
      { data: upper, start: start * n + end, rowStride: 1, columnStride: n },
      { data: x, start, rowStride: n, columnStride: 1 },
    );
    solveBlockTransposed({ data: x, start, rowStride: n, columnStride: 1 }, rows, upper, n, start, end);
  }
}

/** The same for the columns [start, end) alone: X·U[start…end, start…end]ᵀ = B, columns of x counted from `start`. */
export function solveBlockTransposed(
  x: Strided,
  rows: number,
  upper: Float64Array,
  n: number,
  start: number,
  end: number,
): void {
  const { data } = x;
  for (let r = 0; r < rows; r++) {
    const row = x.start + r * x.rowStride - start;
    for (let j = end - 1; j >= start; j--) {
      let sum = data[row + j]!;
      const line = j * n;
      for (let k = j + 1; k < end; k++) sum -= data[row + k]! * upper[line + k]!;
      data[row + j] = sum / upper[line + j]!;
    }
  }
}

/**
 * Solves X·U = B in place, for every row of X: from the first column onwards.
 *
 *   x_j = (b_j − Σ_{k<j} x_k U_kj) / U_jj
 *
 * @param x B on entry, X on return, [rows, n] row-major
 */
export function solveUpper(x: Float64Array, rows: number, upper: Float64Array, n: number): void {
  for (let start = 0; start < n; start += BLOCK) {
    const end = Math.min(n, start + BLOCK);
    subtractProduct(
      rows,
      end - start,
      start,
      { data: x, start: 0, rowStride: n, columnStride: 1 },
      { data: upper, start, rowStride: n, columnStride: 1 },
      { data: x, start, rowStride: n, columnStride: 1 },
    );
    for (let r = 0; r < rows; r++) {
      const row = r * n;
      for (let j = start; j < end; j++) {
        const value = x[row + j]! / upper[j * n + j]!;
        x[row + j] = value;
        for (let k = j + 1, line = j * n; k < end; k++) x[row + k] = x[row + k]! - value * upper[line + k]!;
      }
    }
  }
}

/** X·U, or X·Uᵀ, for every row of X; [rows, n] row-major, a new array. */
export function multiplyUpper(
  x: Float64Array,
  rows: number,
  upper: Float64Array,
  n: number,
  transposed: boolean,
): Float64Array {
  const negated = x.map((value) => -value);
  const result = new Float64Array(rows * n);
  for (let start = 0; start < n; start += BLOCK) {
    const end = Math.min(n, start + BLOCK);
    const from = transposed ? start : 0;
    subtractProduct(
      rows,
      end - start,
      transposed ? n - start : end,
      { data: negated, start: from, rowStride: n, columnStride: 1 },
      transposed
        ? { data: upper, start: start * n + start, rowStride: 1, columnStride: n }
        : { data: upper, start, rowStride: n, columnStride: 1 },
      { data: result, start, rowStride: n, columnStride: 1 },
    );
  }
  return result;
}
