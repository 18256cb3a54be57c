import { checkLayout, type WeightLayout } from '../fgq/grouping.js';
import { type Int8Weights, quantizeInt8 } from '../int8/index.js';
import { blockStarts } from './column-blocks.js';
import { feedbackTarget, solveOnGrid } from './feedback.js';
import type { FeedbackOptions } from './feedback-options.js';
import { checkMoments, type InputMoments } from './input-moments.js';
import { IntegerGrid } from './integer-grid.js';
import { codesInTensorOrder } from './ternary-result.js';

/** How one layer is quantized to int8. */
export interface SolveInt8Options extends FeedbackOptions {
  /** L, the largest |q|: 127 unless told. */
  readonly largestCode?: number | undefined;
}

const DEFAULT_LARGEST_CODE = 127;
const DEFAULT_REFINEMENTS = 2;

/**
 * Quantizes the weights of one convolution group to int8 by error feedback. Scales are those with the least squared error
 * of the weights aimed at.
 *
 * @param weights float32, [OC, IC, taps]; not modified
 * @param moments of the layer's inputs; null: the nearest codes, without feedback
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function solveInt8(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments | null,
  options: SolveInt8Options,
): Int8Weights {
  const { regress, refinements = DEFAULT_REFINEMENTS, largestCode = DEFAULT_LARGEST_CODE } = options;
  const { minimumScales, damping, metric } = options;
  checkLayout(weights.length, layout);
  const plain = quantizeInt8(weights, layout, { largestCode, minimumScales });
  if (moments === null) return plain;
  checkMoments(moments, layout);
  const starts = blockStarts(moments.columns);
  const aimed = feedbackTarget(weights, layout, starts, {
    moments,
    regress,
    damping,
    refinements,
    searches: 0,
    metric,
  });
  const { scales } = regress ? quantizeInt8(aimed.aim, layout, { largestCode, minimumScales }) : plain;
  const steps = Array.from(scales, (step) => ({ step, least: 1, most: 1 }));
  const grid = new IntegerGrid(steps, largestCode, starts);
  solveOnGrid(aimed, starts, grid, { refinements, searches: 0 });
  return { layout, values: codesInTensorOrder(grid.codes, layout), scales };
}
