/**
 * The Cholesky factor from the last column backwards.
 *
 *   A = U·Uᵀ with U upper triangular
 *
 * Column j of U then says what the columns up to j can do about j that no later column can: ‖e·U‖² splits the loss
 * e·A·eᵀ into one term per column that depends on the columns up to it alone.
 */
import { subtractProduct } from './product.js';
import { solveBlockTransposed } from './triangular.js';

const BLOCK = 64;

/** A pivot below this share of its diagonal element has no correct digit left. */
const SMALLEST_PIVOT_SHARE = 1e-13;

/**
 * Replaces A by U.
 *
 * @param a symmetric, [n, n] row-major; of it the diagonal and the upper half are read. Below the diagonal of U are
 *   zeros. Of no use when the result is false.
 * @returns whether A is positive definite as far as float64 can tell
 */
export function factorUpper(a: Float64Array, n: number): boolean {
  const diagonal = Float64Array.from({ length: n }, (_, j) => a[j * n + j]!);
  for (let end = n; end > 0; end -= BLOCK) {
    const start = Math.max(0, end - BLOCK);
    subtractProduct(
      end,
      end - start,
      n - end,
      { data: a, start: end, rowStride: n, columnStride: 1 },
      { data: a, start: start * n + end, rowStride: 1, columnStride: n },
      { data: a, start, rowStride: n, columnStride: 1 },
    );
    if (!factorBlock(a, n, start, end, diagonal)) return false;
    solveBlockTransposed({ data: a, start, rowStride: n, columnStride: 1 }, start, a, n, start, end);
  }
  return true;
}

/** Factors the diagonal block [start, end), from which everything later has been subtracted, and clears what is left of it. */
function factorBlock(a: Float64Array, n: number, start: number, end: number, diagonal: Float64Array): boolean {
  for (let j = end - 1; j >= start; j--) {
    const line = j * n;
    let pivot = a[line + j]!;
    for (let k = j + 1; k < end; k++) pivot -= a[line + k]! ** 2;
    if (!(pivot > diagonal[j]! * SMALLEST_PIVOT_SHARE && pivot < Number.POSITIVE_INFINITY)) return false;
    const root = Math.sqrt(pivot);
    a[line + j] = root;
    for (let i = start; i < j; i++) {
      const other = i * n;
      let sum = a[other + j]!;
      for (let k = j + 1; k < end; k++) sum -= a[other + k]! * a[line + k]!;
      a[other + j] = sum / root;
    }
    a.fill(0, line, line + j);
  }
  return true;
}
