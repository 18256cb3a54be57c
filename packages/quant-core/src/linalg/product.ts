/**
 * C −= A·B on strided float64 matrices: the one product that everything else in this folder is made of.
 *
 * Blocks of A and B are copied into panels first, so that the innermost loop reads both without a gap and stays in the
 * first-level cache:
 *
 *   A: panels of 3 rows     a[0,p] a[1,p] a[2,p]  a[0,p+1] …
 *   B: panels of 4 columns  b[p,0] b[p,1] b[p,2] b[p,3]  b[p+1,0] …
 *
 * 3×4 sums are what 16 registers hold beside their operands. Every element of C is summed over p in the same order
 * wherever it stands, so a result does not depend on its neighbours: permuting rows of A permutes rows of C, bit by bit.
 *
 * Where the kernels were built they do the same in native code, with the same bits: sums run over BLOCK_DEPTH values, and every
 * product and sum is rounded.
 */
import { nativeProduct } from '../runtime/matrix-product.js';

/** A matrix inside an array: element [i, j] is at start + i·rowStride + j·columnStride. */
export interface Strided {
  readonly data: Float64Array;
  readonly start: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

const PANEL_ROWS = 3;
const PANEL_COLUMNS = 4;

/** Products with fewer multiplications are done before a call of native code would be. */
const FEWEST_NATIVE = 1024;

/** Block sizes: a block of A (144 KB) and of B (512 KB) share a second-level cache of 1 MB. */
const BLOCK_ROWS = 72;
const BLOCK_COLUMNS = 256;
const BLOCK_DEPTH = 256;

/**
 * C[i, j] −= Σ_p A[i, p]·B[p, j].
 *
 * @param rows m, rows of A and C
 * @param columns n, columns of B and C
 * @param depth k, columns of A and rows of B
 * @param c columnStride must be 1; must not overlap A or B
 */
export function subtractProduct(
  rows: number,
  columns: number,
  depth: number,
  a: Strided,
  b: Strided,
  c: Strided,
): void {
  if (rows === 0 || columns === 0 || depth === 0) return;
  const native = rows * columns * depth < FEWEST_NATIVE ? null : nativeProduct();
  (native ?? subtractProductPlainly)(rows, columns, depth, a, b, c);
}

/** The same without native code. No size may be 0. */
export function subtractProductPlainly(
  rows: number,
  columns: number,
  depth: number,
  a: Strided,
  b: Strided,
  c: Strided,
): void {
  const panelsA = new Float64Array(roundUp(Math.min(rows, BLOCK_ROWS), PANEL_ROWS) * Math.min(depth, BLOCK_DEPTH));
  const panelsB = new Float64Array(
    roundUp(Math.min(columns, BLOCK_COLUMNS), PANEL_COLUMNS) * Math.min(depth, BLOCK_DEPTH),
  );
  for (let p = 0; p < depth; p += BLOCK_DEPTH) {
    const deep = Math.min(BLOCK_DEPTH, depth - p);
    for (let j = 0; j < columns; j += BLOCK_COLUMNS) {
      const wide = Math.min(BLOCK_COLUMNS, columns - j);
      pack(panelsB, b.data, at(b, p, j), b.columnStride, b.rowStride, wide, deep, PANEL_COLUMNS);
      for (let i = 0; i < rows; i += BLOCK_ROWS) {
        const high = Math.min(BLOCK_ROWS, rows - i);
        pack(panelsA, a.data, at(a, i, p), a.rowStride, a.columnStride, high, deep, PANEL_ROWS);
        subtractBlock(panelsA, panelsB, high, wide, deep, c.data, at(c, i, j), c.rowStride);
      }
    }
  }
}

/** Where element [i, j] is. */
function at(matrix: Strided, i: number, j: number): number {
  return matrix.start + i * matrix.rowStride + j * matrix.columnStride;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Copies lines into panels of `width` lines; lines that are missing in the last panel become zeros. */
function pack(
  panels: Float64Array,
  source: Float64Array,
  start: number,
  lineStride: number,
  depthStride: number,
  lines: number,
  depth: number,
  width: number,
): void {
  for (let first = 0; first < lines; first += width) {
    const panel = first * depth;
    for (let lane = 0; lane < width; lane++) {
      let to = panel + lane;
      if (first + lane >= lines) {
        for (let p = 0; p < depth; p++, to += width) panels[to] = 0;
        continue;
      }
      let from = start + (first + lane) * lineStride;
      for (let p = 0; p < depth; p++, to += width, from += depthStride) panels[to] = source[from]!;
    }
  }
}

/** Sums of one panel of A with one of B. */
const tile = new Float64Array(PANEL_ROWS * PANEL_COLUMNS);

function subtractBlock(
  panelsA: Float64Array,
  panelsB: Float64Array,
  rows: number,
  columns: number,
  depth: number,
  c: Float64Array,
  start: number,
  rowStride: number,
): void {
  for (let j = 0; j < columns; j += PANEL_COLUMNS) {
    const wide = Math.min(PANEL_COLUMNS, columns - j);
    for (let i = 0; i < rows; i += PANEL_ROWS) {
      multiplyPanels(panelsA, i * depth, panelsB, j * depth, depth, tile);
      const high = Math.min(PANEL_ROWS, rows - i);
      for (let di = 0; di < high; di++) {
        const to = start + (i + di) * rowStride + j;
        for (let dj = 0; dj < wide; dj++) c[to + dj] = c[to + dj]! - tile[di * PANEL_COLUMNS + dj]!;
      }
    }
  }
}

/** tile[i, j] = Σ_p a[i, p]·b[p, j] for 3×4 elements: the hot loop of all linear algebra here. */
function multiplyPanels(
  a: Float64Array,
  startA: number,
  b: Float64Array,
  startB: number,
  depth: number,
  sums: Float64Array,
): void {
  let [s00, s01, s02, s03] = [0, 0, 0, 0];
  let [s10, s11, s12, s13] = [0, 0, 0, 0];
  let [s20, s21, s22, s23] = [0, 0, 0, 0];
  let ia = startA;
  let ib = startB;
  for (let p = 0; p < depth; p++, ia += PANEL_ROWS, ib += PANEL_COLUMNS) {
    const a0 = a[ia]!;
    const a1 = a[ia + 1]!;
    const a2 = a[ia + 2]!;
    let bj = b[ib]!;
    s00 += a0 * bj;
    s10 += a1 * bj;
    s20 += a2 * bj;
    bj = b[ib + 1]!;
    s01 += a0 * bj;
    s11 += a1 * bj;
    s21 += a2 * bj;
    bj = b[ib + 2]!;
    s02 += a0 * bj;
    s12 += a1 * bj;
    s22 += a2 * bj;
    bj = b[ib + 3]!;
    s03 += a0 * bj;
    s13 += a1 * bj;
    s23 += a2 * bj;
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s02;
  sums[3] = s03;
  sums[4] = s10;
  sums[5] = s11;
  sums[6] = s12;
  sums[7] = s13;
  sums[8] = s20;
  sums[9] = s21;
  sums[10] = s22;
  sums[11] = s23;
}
