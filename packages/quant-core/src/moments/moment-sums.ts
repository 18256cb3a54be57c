/**
 * Sums over rows of windows x and outputs y, from which moments follow. With z = (x, y) and a fixed shift s near the mean,
 *
 *   S₁ = Σ (z − s)        S₂ = Σ (z − s)(z − s)ᵀ        over n rows
 *   E[z] = s + S₁/n       E[(z − E z)(z − E z)ᵀ] = S₂/n − (S₁/n)(S₁/n)ᵀ
 *
 * Products of a chunk of rows are float32, sums over chunks float64. The shift, the mean of the first chunk, keeps the
 * difference in the last line from cancelling. S₂ is symmetric and of Σ yyᵀ only the diagonal is wanted, so only blocks of
 * columns on and right of the diagonal are multiplied.
 */

import { sharedFloat64 } from '../linalg/index.js';
import type { InputMoments } from '../solve/input-moments.js';
import type { RowBlock, TransposedProducts } from './transposed-products.js';

/** Columns of a block: the products of two blocks stay in cache, and skipping blocks saves nearly half of the work. */
const BLOCK_COLUMNS = 512;

/** The sums of one convolution group. */
export class MomentSums {
  readonly #columns: number;
  readonly #outputs: number;
  #rows = 0;
  readonly #shift: Float32Array;
  /** S₁ */
  readonly #sums: Float64Array;
  /** The part of S₂ for x with x, [K, K], and for x with y, [K, OC]. */
  readonly #second: Float64Array;
  readonly #cross: Float64Array;
  readonly #outputSquares: Float64Array;

  /** @param columns K @param outputs OC */
  constructor(columns: number, outputs: number) {
    this.#columns = columns;
    this.#outputs = outputs;
    this.#shift = new Float32Array(columns + outputs);
    this.#sums = new Float64Array(columns + outputs);
    this.#second = sharedFloat64(columns * columns);
    this.#cross = sharedFloat64(columns * outputs);
    this.#outputSquares = new Float64Array(outputs);
  }

  /** Adds a chunk. @param joint [rows, K + OC]: the window and behind it the outputs of each row */
  async add(joint: Float32Array, rows: number, products: TransposedProducts): Promise<void> {
    if (rows === 0) return;
    if (this.#rows === 0) this.#shift.set(columnMeans(joint, rows, this.#shift.length));
    this.#rows += rows;
    const blocks = this.#shiftedBlocks(joint, rows);
    for (const [i, left] of blocks.entries()) {
      if (left.first >= this.#columns) break;
      for (const right of blocks.slice(i)) this.#addProduct(await products.multiply(left, right, rows), left, right);
    }
  }

  /** The moments; all zero when there were no rows. The sums cannot be used afterwards. */
  finish(): InputMoments {
    const [columns, outputs, rows] = [this.#columns, this.#outputs, this.#rows];
    const n = Math.max(rows, 1);
    const offset = this.#sums.map((sum) => sum / n);
    const mean = offset.map((d, c) => this.#shift[c]! + d);
    const [second, cross] = [this.#second, this.#cross];
    for (let i = 0; i < columns; i++) {
      for (let j = i; j < columns; j++) {
        const covariance = second[i * columns + j]! / n - offset[i]! * offset[j]!;
        second[i * columns + j] = i === j ? Math.max(0, covariance) : covariance;
        second[j * columns + i] = second[i * columns + j]!;
      }
      for (let oc = 0; oc < outputs; oc++) {
        cross[i * outputs + oc] = cross[i * outputs + oc]! / n - offset[i]! * offset[columns + oc]!;
      }
    }
    return {
      columns,
      rows,
      mean: mean.slice(0, columns),
      second,
      cross,
      outputMean: mean.slice(columns),
      outputVariance: this.#outputSquares.map((sum, oc) => Math.max(0, sum / n - offset[columns + oc]! ** 2)),
    };
  }

  /** The shifted rows, cut into blocks of columns; adds them to S₁ and to the squares of the outputs. */
  #shiftedBlocks(joint: Float32Array, rows: number): ColumnBlock[] {
    const width = this.#shift.length;
    const blocks: ColumnBlock[] = [];
    for (let first = 0; first < width; first += BLOCK_COLUMNS) {
      const columns = Math.min(BLOCK_COLUMNS, width - first);
      const values = new Float32Array(rows * columns);
      const shift = this.#shift.subarray(first, first + columns);
      const sums = this.#sums.subarray(first, first + columns);
      for (let row = 0; row < rows; row++) {
        const [from, to] = [row * width + first, row * columns];
        for (let c = 0; c < columns; c++) {
          values[to + c] = joint[from + c]! - shift[c]!;
          sums[c] = sums[c]! + values[to + c]!;
        }
      }
      blocks.push({ first, columns, values });
    }
    this.#addSquares(joint, rows);
    return blocks;
  }

  #addSquares(joint: Float32Array, rows: number): void {
    const width = this.#shift.length;
    for (let row = 0; row < rows; row++) {
      for (let oc = 0; oc < this.#outputs; oc++) {
        const c = this.#columns + oc;
        const shifted = Math.fround(joint[row * width + c]! - this.#shift[c]!);
        this.#outputSquares[oc] = this.#outputSquares[oc]! + shifted * shifted;
      }
    }
  }

  #addProduct(product: Float32Array, left: ColumnBlock, right: ColumnBlock): void {
    const [columns, outputs] = [this.#columns, this.#outputs];
    const leftEnd = Math.min(left.columns, columns - left.first);
    // Columns of the right block from here on are outputs.
    const split = Math.min(right.columns, Math.max(0, columns - right.first));
    for (let i = 0; i < leftEnd; i++) {
      const from = i * right.columns;
      const inSecond = (left.first + i) * columns + right.first;
      for (let j = 0; j < split; j++) this.#second[inSecond + j] = this.#second[inSecond + j]! + product[from + j]!;
      const inCross = (left.first + i) * outputs + right.first - columns;
      for (let j = split; j < right.columns; j++)
        this.#cross[inCross + j] = this.#cross[inCross + j]! + product[from + j]!;
    }
  }
}

interface ColumnBlock extends RowBlock {
  /** Its first column among those of x and y together. */
  readonly first: number;
}

function columnMeans(joint: Float32Array, rows: number, width: number): Float64Array {
  const means = new Float64Array(width);
  for (let row = 0; row < rows; row++) for (let c = 0; c < width; c++) means[c] = means[c]! + joint[row * width + c]!;
  return means.map((sum) => sum / rows);
}
