/**
 * The solver `feedback`: nearest in what the layer puts out. Error feedback finds a first solution, refinement improves it.
 * See error-feedback.ts and refine.ts.
 */
import { MAX_GROUP_CODE, type TernaryWeights, type WeightLayout } from '../fgq/index.js';
import { storableScale } from '../int8/weight-scale.js';
import { multiplyUpper, solveUpper } from '../linalg/index.js';
import { floatsInTensorOrder, groupStarts, toColumns } from './column-order.js';
import { feedErrorsForward } from './error-feedback.js';
import { solveExact } from './exact.js';
import type { GroupGrid } from './group-grid.js';
import { inOrder, outOfOrder, sequenceOf } from './group-order.js';
import { factorMoments, type LayerMetric } from './layer-metric.js';
import type { Calibrated, TernaryProblem } from './layer-problem.js';
import { refine } from './refine.js';
import { regressedTarget } from './regress.js';
import { searchWindows } from './search-windows.js';
import { TernaryGrid } from './ternary-grid.js';
import { ternaryWeights } from './ternary-result.js';
import { TwoPlaneGrid } from './two-plane-grid.js';

/** Sweeps of refinement, and passes of search in windows, unless told. */
const DEFAULT_REFINEMENTS = 2;
const DEFAULT_SEARCHES = 4;

/**
 * Room for group scales that grow on the way, as a share of those that fit the weights; more where the largest of few groups
 * says little. Between 1.15 and 2 the loss of large layers changes by less than 2 %.
 */
const headroom = (groups: number) => 1.3 + 0.7 / groups;

/** What error feedback aims at. */
export interface FeedbackTarget {
  readonly metric: LayerMetric;
  /** W*·U, [OC, K], columns in the order of the metric. */
  readonly target: Float64Array;
  /** W* in the order of the weights, [OC, IC, taps]: what the scales are chosen for. */
  readonly aim: Float32Array;
}

/** Ternarizes by error feedback. */
export function solveFeedback(problem: TernaryProblem, calibrated: Calibrated): TernaryWeights {
  const { layout, groupSize, planes, minimumScales } = problem;
  const starts = groupStarts(layout, groupSize);
  const aimed = feedbackTarget(problem.weights, layout, starts, calibrated);
  const plain = solveExact({ ...problem, weights: aimed.aim, minimumScales: undefined }).channelScales;
  const scales = plain.map((scale, oc) =>
    Math.max(storableScale(scale * headroom(starts.length - 1), MAX_GROUP_CODE), minimumScales?.[oc] ?? 0),
  );
  if (planes === 1) {
    const grid = new TernaryGrid(scales, starts.length - 1);
    const values = solveOnGrid(aimed, starts, grid, calibrated);
    const codes = Int8Array.from(values, Math.sign);
    return ternaryWeights(layout, groupSize, scales, [{ codes, groupCodes: grid.groupCodes }]);
  }
  const grid = new TwoPlaneGrid(scales, starts);
  solveOnGrid(aimed, starts, grid, calibrated);
  return ternaryWeights(layout, groupSize, scales, [grid.first, grid.second]);
}

/** Factors the metric, unless that was done, and finds what to aim at. */
export function feedbackTarget(
  weights: Float32Array,
  layout: WeightLayout,
  starts: Int32Array,
  { moments, regress, damping, metric = factorMoments(moments, starts, damping) }: Calibrated,
): FeedbackTarget {
  const rows = layout.outputChannels;
  const columns = toColumns(weights, layout);
  if (!regress) {
    const ordered = inOrder(columns, metric.order.columns);
    return { metric, target: multiplyUpper(ordered, rows, metric.factor, metric.columns, false), aim: weights };
  }
  const target = regressedTarget(columns, moments, metric);
  const aim = target.slice();
  solveUpper(aim, rows, metric.factor, metric.columns);
  return { metric, target, aim: floatsInTensorOrder(outOfOrder(aim, metric.order.columns), layout) };
}

/** Error feedback and refinement on any grid; returns the points, [OC, K], columns in their own order. */
export function solveOnGrid(
  { metric, target }: FeedbackTarget,
  starts: Int32Array,
  grid: GroupGrid,
  { refinements = DEFAULT_REFINEMENTS, searches = DEFAULT_SEARCHES }: Pick<Calibrated, 'refinements' | 'searches'>,
): Float64Array {
  const { columns, order, factor, second, ridge } = metric;
  const rows = target.length / columns;
  const ordered = feedErrorsForward({ rows, columns, order, factor, target }, grid);
  const values = outOfOrder(ordered, order.columns);
  if (refinements === 0 && searches === 0) return values;
  const gradient = outOfOrder(multiplyUpper(target, rows, factor, columns, true), order.columns);
  const refined = { rows, columns, order: sequenceOf(starts), second, ridge, gradient, values };
  refine(refined, grid, refinements);
  searchWindows(refined, grid, searches);
  return values;
}
