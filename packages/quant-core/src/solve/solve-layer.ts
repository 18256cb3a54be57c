/** START HERE: the solvers, behind one interface. */

import { checkGroupSize, checkLayout } from '../fgq/grouping.js';
import type { TernaryWeights, WeightLayout } from '../fgq/index.js';
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales } from '../int8/weight-scale.js';
import { groupStarts } from './column-order.js';
import { solveExact } from './exact.js';
import { feedbackTarget, solveFeedback } from './feedback.js';
import type { SearchedOptions } from './feedback-options.js';
import { checkMoments, type InputMoments } from './input-moments.js';
import { factorMoments, type LayerMetric } from './layer-metric.js';
import type { TernarySolver } from './layer-problem.js';
import { solveWeighted } from './weighted.js';

/** How ternary weights are found: `exact` nearest to the weights, `weighted` by the variance of each input, `feedback` nearest in the outputs. */
export type Solver = 'exact' | 'weighted' | 'feedback';

/** How one layer is ternarized. */
export interface SolveOptions extends SearchedOptions {
  readonly solver: Solver;
  /** N. */
  readonly groupSize: number;
  readonly planes: 1 | 2;
}

const SOLVERS: Readonly<Record<Solver, TernarySolver>> = {
  exact: solveExact,
  weighted: solveWeighted,
  feedback: solveFeedback,
};

/**
 * Ternarizes the weights of one convolution group, or of one linear layer.
 *
 * Output channels are independent: permuting them permutes the result. The same arguments give the same result, bit by bit.
 *
 * @param weights float32, [OC, IC, taps]; not modified
 * @param moments of the layer's inputs; null only for the solver `exact` without regression
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 * @example solveLayer(weights, layout, moments, { solver: 'feedback', groupSize: 64, planes: 1, regress: true })
 */
export function solveLayer(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments | null,
  options: SolveOptions,
): TernaryWeights {
  const { solver, groupSize, planes, regress, damping, refinements, searches, minimumScales, metric } = options;
  checkLayout(weights.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(minimumScales, layout.outputChannels);
  if (!weights.every(Number.isFinite)) rejectNonFinite(weights, 0, weights.length);
  const problem = { weights, layout, groupSize, planes, minimumScales };
  if (moments === null) {
    if (solver !== 'exact' || regress) throw new RangeError(`the solver ${solver} needs moments`);
    return solveExact(problem);
  }
  checkMoments(moments, layout);
  const calibrated = { moments, regress, damping, refinements, searches, metric };
  if (solver === 'feedback' || !regress) return SOLVERS[solver](problem, calibrated);
  const { aim } = feedbackTarget(weights, layout, groupStarts(layout, groupSize), calibrated);
  return SOLVERS[solver]({ ...problem, weights: aim }, calibrated);
}

/**
 * What all output channels of a layer have in common when error feedback solves it in groups, or when any solver aims at
 * outputs: parts of a layer can be solved with it one by one, with the same result.
 *
 * @param layout of the whole layer or of a part of it
 * @throws RangeError when a moment is not finite or the damping is negative
 */
export function layerMetric(
  moments: InputMoments,
  layout: WeightLayout,
  { groupSize, damping }: Pick<SolveOptions, 'groupSize' | 'damping'>,
): LayerMetric {
  return factorMoments(moments, groupStarts(layout, groupSize), damping);
}
