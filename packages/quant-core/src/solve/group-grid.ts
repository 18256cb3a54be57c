/**
 * What a quantized group of weights may be, and how a near point of it is found in a given metric. Error feedback and
 * refinement know nothing else of a format; each format is one file.
 *
 *   minimise  (x − q) M (x − q)ᵀ  over the points q of the grid        M = U·Uᵀ, U upper triangular
 *
 * A grid is made for one layer. It keeps what describes the points it chose (codes, scales) by row and group.
 */

/** The metric of one group, shared by all rows. */
export interface GroupMetric {
  /** n, columns of the group. */
  readonly size: number;
  /** M, [n, n]. */
  readonly matrix: Float64Array;
  /** U, [n, n], with zeros below the diagonal. */
  readonly factor: Float64Array;
}

export interface GroupGrid {
  /** Announces the group whose rows follow. */
  begin(group: number, metric: GroupMetric): void;
  /**
   * Finds a point for one row from scratch.
   * @param target x·U, [n]; not modified
   * @param values the point is written to [at, at + n)
   */
  place(row: number, target: Float64Array, values: Float64Array, at: number): void;
  /**
   * Moves the point of one row to a better one, if one is found.
   * @param pull x·M, [n]; not modified
   * @param values the point at [at, at + n), as the grid last wrote it; replaced
   * @returns whether it moved
   */
  improve(row: number, pull: Float64Array, values: Float64Array, at: number): boolean;
  /** A grid to try points on: the same formats and scales, with a memory of its own. */
  trial(): TrialGrid;
}

export interface TrialGrid {
  readonly grid: GroupGrid;
  /** Takes over what the trial remembers of one row and group. */
  readonly keep: (row: number, group: number) => void;
}

/** x·M from x·U. */
export function pullOfTarget({ size, factor }: GroupMetric, target: Float64Array, pull: Float64Array): void {
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = i, at = i * size + i; j < size; j++, at++) sum += factor[at]! * target[j]!;
    pull[i] = sum;
  }
}

/** x·U from x·M. */
export function targetOfPull({ size, factor }: GroupMetric, pull: Float64Array, target: Float64Array): void {
  for (let i = size - 1; i >= 0; i--) {
    const line = i * size;
    let sum = pull[i]!;
    for (let j = i + 1; j < size; j++) sum -= factor[line + j]! * target[j]!;
    target[i] = sum / factor[line + i]!;
  }
}

/** x from x·U. */
export function pointOfTarget({ size, factor }: GroupMetric, target: Float64Array, point: Float64Array): void {
  point.set(target);
  for (let i = 0; i < size; i++) {
    const line = i * size;
    const value = point[i]! / factor[line + i]!;
    point[i] = value;
    for (let j = i + 1; j < size; j++) point[j] = point[j]! - value * factor[line + j]!;
  }
}
