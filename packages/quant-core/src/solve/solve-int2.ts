import { checkLayout, type WeightLayout } from '../fgq/grouping.js';
import { type Int2Weights, LARGEST_INT2, quantizeInt2 } from '../int2/index.js';
import { blockStarts } from './column-blocks.js';
import { feedbackTarget, solveOnGrid } from './feedback.js';
import type { SearchedOptions } from './feedback-options.js';
import { checkMoments, type InputMoments } from './input-moments.js';
import { IntegerGrid } from './integer-grid.js';
import { codesInTensorOrder } from './ternary-result.js';

/**
 * Quantizes the weights of one convolution group to uniform 2 bits by error feedback. Scales are those with the least squared error
 * of the weights aimed at.
 *
 * @param weights float32, [OC, IC, taps]; not modified
 * @param moments of the layer's inputs
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function solveInt2(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments,
  options: SearchedOptions,
): Int2Weights {
  const { regress, damping, refinements, searches, minimumScales, metric } = options;
  checkLayout(weights.length, layout);
  const plain = quantizeInt2(weights, layout, { minimumScales });
  checkMoments(moments, layout);
  const starts = blockStarts(moments.columns);
  const aimed = feedbackTarget(weights, layout, starts, { moments, regress, damping, refinements, searches, metric });
  const { scales } = regress ? quantizeInt2(aimed.aim, layout, { minimumScales }) : plain;
  const steps = Array.from(scales, (step) => ({ step, least: 1, most: 1 }));
  const grid = new IntegerGrid(steps, LARGEST_INT2, starts, 'odd');
  solveOnGrid(aimed, starts, grid, { refinements, searches });
  return { layout, values: codesInTensorOrder(grid.codes, layout), scales };
}
