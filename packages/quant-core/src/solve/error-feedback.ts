/**
 * Error feedback: groups of columns are quantized one after the other, each making up for the errors of those before it.
 *
 *   loss = tr(E A Eᵀ) = ‖E U‖²      E = W* − Q,  A = H + λI = U·Uᵀ with U upper triangular
 *
 * Columns B of E·U are (W*U)_B − Σ_{k<B} Q_k U_kB − Q_B U_BB: what earlier groups did is a shift of the target, so that
 * Q_B is a problem of n columns with the factor U_BB. Q_B is the best for what is left after all later columns have done
 * what real numbers could do; the metric of the last group is A itself, that of the first one its Schur complement.
 *
 * Source: the blocks of GPTQ, arXiv 2210.17323, from one Cholesky factor of A instead of the factor of its inverse.
 *
 * Rows are independent. The sums over earlier panels are matrix products, those within a panel are formed row by row.
 */
import { subtractProduct } from '../linalg/index.js';
import type { GroupGrid, GroupMetric } from './group-grid.js';
import type { GroupSequence } from './group-order.js';

/** Columns that one product prepares; a group may be wider. */
const PANEL_COLUMNS = 128;

export interface FeedbackInput {
  readonly rows: number;
  readonly columns: number;
  /** The groups in the order of the columns of `factor` and `target`. */
  readonly order: GroupSequence;
  /** U, [K, K]. */
  readonly factor: Float64Array;
  /** W*·U on entry, E·U on return; [OC, K]. */
  readonly target: Float64Array;
}

/** Quantizes all columns; returns Q, [OC, K], in the same order. */
export function feedErrorsForward(input: FeedbackInput, grid: GroupGrid): Float64Array {
  const { rows, columns, order, factor, target } = input;
  const { starts } = order;
  const values = new Float64Array(rows * columns);
  for (let first = 0; first + 1 < starts.length; ) {
    const last = lastGroupOfPanel(starts, first);
    const start = starts[first]!;
    subtractProduct(
      rows,
      starts[last]! - start,
      start,
      { data: values, start: 0, rowStride: columns, columnStride: 1 },
      { data: factor, start, rowStride: columns, columnStride: 1 },
      { data: target, start, rowStride: columns, columnStride: 1 },
    );
    for (let turn = first; turn < last; turn++) quantizeGroup(input, grid, turn, starts[last]!, values);
    first = last;
  }
  return values;
}

/** The group after the last one that fits into a panel with `first`. */
export function lastGroupOfPanel(starts: Int32Array, first: number): number {
  let last = first + 1;
  while (last + 1 < starts.length && starts[last + 1]! - starts[first]! <= PANEL_COLUMNS) last++;
  return last;
}

/** Quantizes one group in all rows and takes it out of the rest of its panel. */
function quantizeGroup(
  { rows, columns, order, factor, target }: FeedbackInput,
  grid: GroupGrid,
  turn: number,
  panelEnd: number,
  values: Float64Array,
): void {
  const start = order.starts[turn]!;
  const size = order.starts[turn + 1]! - start;
  grid.begin(order.groups[turn]!, metricOfFactor(factor, columns, start, size));
  const wanted = new Float64Array(size);
  for (let row = 0; row < rows; row++) {
    const at = row * columns + start;
    for (let i = 0; i < size; i++) wanted[i] = target[at + i]!;
    grid.place(row, wanted, values, at);
    subtractRows(target, row * columns, values, factor, columns, start, size, panelEnd);
  }
}

/** U_BB and M = U_BB·U_BBᵀ. */
function metricOfFactor(factor: Float64Array, columns: number, start: number, size: number): GroupMetric {
  const block = new Float64Array(size * size);
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) block[i * size + j] = factor[(start + i) * columns + start + j]!;
  }
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < size; k++) sum += block[i * size + k]! * block[j * size + k]!;
      matrix[i * size + j] = sum;
      matrix[j * size + i] = sum;
    }
  }
  return { size, matrix, factor: block };
}

/** target[start…panelEnd) −= q·U[group, start…panelEnd) for one row. */
function subtractRows(
  target: Float64Array,
  rowStart: number,
  values: Float64Array,
  factor: Float64Array,
  columns: number,
  start: number,
  size: number,
  panelEnd: number,
): void {
  for (let i = start; i < start + size; i++) {
    const value = values[rowStart + i]!;
    if (value === 0) continue;
    const line = i * columns;
    for (let j = i; j < panelEnd; j++) target[rowStart + j] = target[rowStart + j]! - value * factor[line + j]!;
  }
}
