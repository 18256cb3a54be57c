/**
 * The solver `weighted`: every weight counts by how much its input varies.
 *
 *   minimise  Σ h_i (w_i − q_i)²      h_i = H_ii + λ
 *
 * Groups are independent then. Scales of channels start as those of the solver `exact` and are fitted to the codes found:
 * s ← s · Σ h w q / Σ h q².
 */
import { MAX_GROUP_CODE, type TernaryWeights } from '../fgq/index.js';
import { storableScale } from '../int8/weight-scale.js';
import { groupStarts, toColumns } from './column-order.js';
import { solveExact } from './exact.js';
import { meanDiagonal, ridgeFor } from './layer-metric.js';
import type { Calibrated, TernaryProblem } from './layer-problem.js';
import { placeAlone } from './place-alone.js';
import { TernaryGrid } from './ternary-grid.js';
import { ternaryWeights } from './ternary-result.js';
import { TwoPlaneGrid } from './two-plane-grid.js';

/** Least share of the mean variance that a weight counts by: even without damping a dead input's weight has a nearest point. */
const SMALLEST_SHARE = 1e-8;

/** Ternarizes by the variances of the inputs. */
export function solveWeighted(problem: TernaryProblem, { moments, damping }: Calibrated): TernaryWeights {
  const { layout, groupSize, planes, minimumScales } = problem;
  const { columns, second } = moments;
  const mean = meanDiagonal(second, columns);
  if (!Number.isFinite(mean)) throw new RangeError('the second moments are not finite');
  const ridge = Math.max(ridgeFor(mean, damping), mean * SMALLEST_SHARE);
  const importance = Float64Array.from({ length: columns }, (_, i) => second[i * columns + i]! + ridge);
  const weights = toColumns(problem.weights, layout);
  const starts = groupStarts(layout, groupSize);
  const scales = solveExact(problem).channelScales;
  if (planes === 1) {
    const grid = new TernaryGrid(scales, starts.length - 1);
    const values = placeAlone(weights, starts, importance, grid);
    const fitted = fittedScales(scales, weights, values, importance, minimumScales);
    const codes = Int8Array.from(values, Math.sign);
    return ternaryWeights(layout, groupSize, fitted, [{ codes, groupCodes: grid.groupCodes }]);
  }
  const grid = new TwoPlaneGrid(scales, starts);
  const values = placeAlone(weights, starts, importance, grid);
  const fitted = fittedScales(scales, weights, values, importance, minimumScales);
  return ternaryWeights(layout, groupSize, fitted, [grid.first, grid.second]);
}

function fittedScales(
  scales: Float32Array,
  weights: Float64Array,
  values: Float64Array,
  importance: Float64Array,
  minimumScales: Float32Array | undefined,
): Float32Array {
  return scales.map((scale, oc) => {
    let [pulled, norm] = [0, 0];
    for (let i = 0, at = oc * importance.length; i < importance.length; i++, at++) {
      pulled += importance[i]! * weights[at]! * values[at]!;
      norm += importance[i]! * values[at]! * values[at]!;
    }
    if (!(pulled > 0)) return scale;
    return Math.max(storableScale(scale * (pulled / norm), MAX_GROUP_CODE), minimumScales?.[oc] ?? 0);
  });
}
