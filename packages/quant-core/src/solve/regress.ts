/**
 * Weights that make up for what quantizing the earlier layers did to the inputs.
 *
 *   W* = argmin E‖W*x − y‖² + λ‖W* − W‖²  =  W + (C − W H)·A⁻¹  =  (C + λW)·A⁻¹      C = E[(y − ν)(x − μ)ᵀ]
 *
 * With A = U·Uᵀ error feedback needs W*·U alone, which is one triangular solution: W*·U·Uᵀ = C + λW.
 */
import { solveTransposed } from '../linalg/index.js';
import type { InputMoments } from './input-moments.js';
import type { LayerMetric } from './layer-metric.js';

/**
 * W*·U, [OC, K], columns in the order of the metric.
 * @param weights W, [OC, K], columns in their own order
 */
export function regressedTarget(
  weights: Float64Array,
  { cross }: InputMoments,
  { columns, ridge, order, factor }: LayerMetric,
): Float64Array {
  const rows = weights.length / columns;
  const target = new Float64Array(weights.length);
  for (let place = 0; place < columns; place++) {
    const column = order.columns[place]!;
    for (let row = 0; row < rows; row++) {
      target[row * columns + place] = cross[column * rows + row]! + ridge * weights[row * columns + column]!;
    }
  }
  solveTransposed(target, rows, factor, columns);
  return target;
}
