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
 * W*·U, [OC, K].
 * @param weights W, [OC, K] in the order of the columns
 */
export function regressedTarget(
  weights: Float64Array,
  { cross }: InputMoments,
  { columns, ridge, factor }: LayerMetric,
): Float64Array {
  const rows = weights.length / columns;
  const target = new Float64Array(weights.length);
  for (let k = 0; k < columns; k++) {
    for (let row = 0; row < rows; row++) {
      const at = row * columns + k;
      target[at] = cross[k * rows + row]! + ridge * weights[at]!;
    }
  }
  solveTransposed(target, rows, factor, columns);
  return target;
}
