/**
 * Channel-wise interpolation: c channels as c′ ones, by means over neighbours, so that outputs of several widths can be added.
 *
 *   y_i = mean x_j,   ⌊i c / c′⌋ ≤ j < ⌈(i + 1) c / c′⌉
 *
 * Source: Dong and Yang 2019 (TAS), §3.2 (adaptive average pooling over channels).
 */

/** The matrix [rows, columns] that makes c′ of c channels; zero beyond them. @param rows c′ or more @param columns c or more */
export function interpolationMatrix(
  { from, to }: { readonly from: number; readonly to: number },
  rows: number,
  columns: number,
): Float32Array {
  const matrix = new Float32Array(rows * columns);
  for (let i = 0; i < to; i++) {
    const [begin, end] = [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    for (let j = begin; j < end; j++) matrix[i * columns + j] = 1 / (end - begin);
  }
  return matrix;
}
