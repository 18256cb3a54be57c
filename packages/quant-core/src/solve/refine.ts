/**
 * Refinement: coordinate descent over groups against the whole metric.
 *
 *   loss(Q_B + δ) = loss(Q) − 2 δ·R_B + δ A_BB δᵀ      R = E·A
 *
 * With everything else fixed a group has the target x with (x − Q_B)·A_BB = R_B, so x·A_BB = R_B + Q_B·A_BB. Groups take
 * their turns in order until a sweep changes nothing. R is kept up to date: within a panel row by row, elsewhere by one
 * product per panel.
 */
import { factorUpper, subtractProduct } from '../linalg/index.js';
import { lastGroupOfPanel } from './error-feedback.js';
import type { GroupGrid, GroupMetric } from './group-grid.js';
import type { GroupSequence } from './group-order.js';

export interface RefineInput {
  readonly rows: number;
  readonly columns: number;
  readonly order: GroupSequence;
  /** H, [K, K]. */
  readonly second: Float64Array;
  /** λ: A = H + λI. */
  readonly ridge: number;
  /** R = E·A, [OC, K]; kept up to date. */
  readonly gradient: Float64Array;
  /** Q, [OC, K]; replaced. */
  readonly values: Float64Array;
}

/** Runs sweeps until nothing changes, at most `sweeps`; returns how many groups moved in each. */
export function refine(input: RefineInput, grid: GroupGrid, sweeps: number): number[] {
  const moved: number[] = [];
  while (moved.length < sweeps && moved.at(-1) !== 0) moved.push(sweep(input, grid));
  return moved;
}

function sweep(input: RefineInput, grid: GroupGrid): number {
  const { rows, columns, order, second, gradient, values } = input;
  const { starts } = order;
  let moves = 0;
  for (let first = 0; first + 1 < starts.length; ) {
    const last = lastGroupOfPanel(starts, first);
    const [start, end] = [starts[first]!, starts[last]!];
    const before = copyColumns(values, rows, columns, start, end);
    for (let turn = first; turn < last; turn++) moves += improveGroup(input, grid, turn, start, end);
    const steps = copyColumns(values, rows, columns, start, end);
    for (let i = 0; i < steps.length; i++) steps[i] = steps[i]! - before[i]!;
    for (const [from, to] of [
      [0, start],
      [end, columns],
    ] as const) {
      subtractProduct(
        rows,
        to - from,
        end - start,
        { data: steps, start: 0, rowStride: end - start, columnStride: 1 },
        { data: second, start: start * columns + from, rowStride: columns, columnStride: 1 },
        { data: gradient, start: from, rowStride: columns, columnStride: 1 },
      );
    }
    first = last;
  }
  return moves;
}

function copyColumns(values: Float64Array, rows: number, columns: number, start: number, end: number): Float64Array {
  const copy = new Float64Array(rows * (end - start));
  for (let row = 0; row < rows; row++) {
    copy.set(values.subarray(row * columns + start, row * columns + end), row * (end - start));
  }
  return copy;
}

/** Improves one group in all rows and brings the gradient of its panel up to date; returns how many rows moved. */
function improveGroup(input: RefineInput, grid: GroupGrid, turn: number, panelStart: number, panelEnd: number): number {
  const { rows, columns, order, gradient, values } = input;
  const start = order.starts[turn]!;
  const size = order.starts[turn + 1]! - start;
  const metric = metricOf(input, start, size);
  grid.begin(order.groups[turn]!, metric);
  const pull = new Float64Array(size);
  const before = new Float64Array(size);
  let moves = 0;
  for (let row = 0; row < rows; row++) {
    const at = row * columns + start;
    for (let i = 0; i < size; i++) {
      before[i] = values[at + i]!;
      pull[i] = gradient[at + i]!;
    }
    addProduct(pull, before, metric);
    if (!grid.improve(row, pull, values, at)) continue;
    moves++;
    subtractStep(input, row * columns, start, before, panelStart, panelEnd);
  }
  return moves;
}

/** A_BB and its factor. */
function metricOf({ columns, second, ridge }: RefineInput, start: number, size: number): GroupMetric {
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const line = (start + i) * columns + start;
    for (let j = 0; j < size; j++) matrix[i * size + j] = second[line + j]!;
    matrix[i * size + i] = matrix[i * size + i]! + ridge;
  }
  const factor = matrix.slice();
  factorUpper(factor, size);
  return { size, matrix, factor };
}

/** pull += q·M. */
function addProduct(pull: Float64Array, point: Float64Array, { size, matrix }: GroupMetric): void {
  for (let i = 0; i < size; i++) {
    const value = point[i]!;
    if (value === 0) continue;
    const line = i * size;
    for (let j = 0; j < size; j++) pull[j] = pull[j]! + value * matrix[line + j]!;
  }
}

/** R −= δ·A within the panel, for one row. */
function subtractStep(
  { second, ridge, columns, gradient, values }: RefineInput,
  rowStart: number,
  start: number,
  before: Float64Array,
  panelStart: number,
  panelEnd: number,
): void {
  for (let i = 0; i < before.length; i++) {
    const step = values[rowStart + start + i]! - before[i]!;
    if (step === 0) continue;
    const line = (start + i) * columns;
    for (let j = panelStart; j < panelEnd; j++) {
      gradient[rowStart + j] = gradient[rowStart + j]! - step * second[line + j]!;
    }
    gradient[rowStart + start + i] = gradient[rowStart + start + i]! - step * ridge;
  }
}
