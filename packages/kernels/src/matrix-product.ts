/**
 * C −= A·B in float64, on the calling thread. Native only; the bits are those of the formula in the C++ header, which plain
 * JavaScript can follow: products and sums are rounded one by one, over 256 values at a time.
 */
import { type Addon, loadAddon } from './addon.js';

/** A matrix inside an array: element [i, j] is at start + i·rowStride + j·columnStride. */
export interface StridedMatrix {
  readonly data: Float64Array;
  readonly start: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/**
 * C[i, j] −= Σ_p A[i, p]·B[p, j]. The arrays may lie in shared memory, as long as no other thread writes to these elements.
 * @param rows of A and C, at least 1
 * @param columns of B and C, at least 1
 * @param depth columns of A and rows of B, at least 1
 * @param c columnStride must be 1; must not overlap what is read of A and B
 * @throws TypeError for an array of another type
 * @throws RangeError for a number out of range, or an array that has too few elements
 */
export type SubtractProduct = (
  rows: number,
  columns: number,
  depth: number,
  a: StridedMatrix,
  b: StridedMatrix,
  c: StridedMatrix,
) => void;

/** The part of the addon that this file uses. */
interface ProductAddon extends Addon {
  subtractProduct(...args: unknown[]): void;
}

/**
 * Loads the native product.
 * @throws NativeKernelsUnavailable when the kernels were not built, or cannot be loaded here
 * @example loadSubtractProduct()(1, 1, 2, row, column, result)
 */
export function loadSubtractProduct(): SubtractProduct {
  const { subtractProduct } = loadAddon() as ProductAddon;
  return (rows, columns, depth, a, b, c) =>
    subtractProduct(
      rows,
      columns,
      depth,
      a.data,
      a.start,
      a.rowStride,
      a.columnStride,
      b.data,
      b.start,
      b.rowStride,
      b.columnStride,
      c.data,
      c.start,
      c.rowStride,
      c.columnStride,
    );
}
