/** The solver `exact`: nearest to the weights, with one plane or two. Inputs count only where the weights are regressed. */
import { type TernaryWeights, ternarize, ternarizeTwice } from '../fgq/index.js';
import type { TernaryProblem } from './layer-problem.js';

/** Ternarizes without calibration. */
export function solveExact({ weights, layout, groupSize, planes, minimumScales }: TernaryProblem): TernaryWeights {
  const solve = planes === 1 ? ternarize : ternarizeTwice;
  return solve(weights, layout, groupSize, { minimumScales });
}
