import type { GroupGrid } from './group-grid.js';

/**
 * Quantizes every group by itself in a diagonal metric, without feedback; returns the points, [OC, K].
 *
 * @param columns what to come near to, [OC, K]
 * @param starts the column where each group starts, and K at the end
 * @param importance h: what squared errors of each column cost, [K]; positive
 */
export function placeAlone(
  columns: Float64Array,
  starts: Int32Array,
  importance: Float64Array,
  grid: GroupGrid,
): Float64Array {
  const perRow = importance.length;
  const values = new Float64Array(columns.length);
  const roots = importance.map(Math.sqrt);
  for (let group = 0; group + 1 < starts.length; group++) {
    const [start, end] = [starts[group]!, starts[group + 1]!];
    const target = new Float64Array(end - start);
    grid.begin(group, {
      size: end - start,
      matrix: diagonal(importance.subarray(start, end)),
      factor: diagonal(roots.subarray(start, end)),
    });
    for (let row = 0, at = start; at < columns.length; row++, at += perRow) {
      for (let i = 0; i < target.length; i++) target[i] = columns[at + i]! * roots[start + i]!;
      grid.place(row, target, values, at);
    }
  }
  return values;
}

function diagonal(values: Float64Array): Float64Array {
  const size = values.length;
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = values[i]!;
  return matrix;
}
