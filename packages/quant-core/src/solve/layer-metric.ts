import { factorUpper } from '../linalg/index.js';
import type { InputMoments } from './input-moments.js';

/** What errors of weights cost: A = H + λI with H the second moments of the inputs. */
export interface LayerMetric {
  /** K. */
  readonly columns: number;
  /** H, [K, K]. */
  readonly second: Float64Array;
  /** λ > 0: what errors at inputs cost that never occurred, and what keeps A positive definite. */
  readonly ridge: number;
  /** U, upper triangular, with A = U·Uᵀ. */
  readonly factor: Float64Array;
}

/** Share of the mean diagonal of H that λ is, unless told. */
export const DEFAULT_DAMPING = 0.01;

/** Damping that follows one with which A is singular in float64. */
const SMALLEST_RAISED_DAMPING = 1e-8;
const DAMPING_STEP = 10;

/**
 * Factors the damped second moments. Damping is raised until that is possible; inputs that are always zero take λ from the
 * others, and when all are, A is the identity.
 *
 * @throws RangeError when a moment is not finite or the damping is negative
 */
export function factorMoments({ columns, second }: InputMoments, damping: number = DEFAULT_DAMPING): LayerMetric {
  if (!(damping >= 0 && Number.isFinite(damping))) throw new RangeError(`damping must not be negative, got ${damping}`);
  const mean = meanDiagonal(second, columns);
  if (!Number.isFinite(mean)) throw new RangeError('the second moments are not finite');
  for (let share = damping; ; share = Math.max(share * DAMPING_STEP, SMALLEST_RAISED_DAMPING)) {
    const ridge = mean > 0 ? share * mean : 1;
    const factor = second.slice();
    for (let i = 0; i < columns; i++) factor[i * columns + i] = factor[i * columns + i]! + ridge;
    if (factorUpper(factor, columns)) return { columns, second, ridge, factor };
    if (!(share < columns)) throw new RangeError('the second moments are no moments: not finite, or far from positive');
  }
}

function meanDiagonal(second: Float64Array, columns: number): number {
  let sum = 0;
  for (let i = 0; i < columns; i++) sum += second[i * columns + i]!;
  return sum / columns;
}
