import { checkGroupSize, checkLayout, type WeightLayout } from '../fgq/grouping.js';
import { rejectNonFinite } from '../int8/finite-weights.js';
import { checkMinimumScales, EMPTY_CHANNEL_SCALE, storableScale } from '../int8/weight-scale.js';
import { groupPlaces, groupStarts, toColumns } from './column-order.js';
import { feedbackTarget, solveOnGrid } from './feedback.js';
import type { SearchedOptions } from './feedback-options.js';
import { checkMoments, type InputMoments } from './input-moments.js';
import { IntegerGrid } from './integer-grid.js';
import { placeAlone } from './place-alone.js';
import { codesInTensorOrder } from './ternary-result.js';

/** L of int4: −8 does not occur. */
export const LARGEST_INT4 = 7;

/** Int4 weights in groups: W ≈ v·c·s. */
export interface Int4Weights {
  readonly layout: WeightLayout;
  /** N: groups lie like those of ternary weights. */
  readonly groupSize: number;
  /** v ∈ {−7 … 7}, [OC, IC, taps]. */
  readonly values: Int8Array;
  /** c ∈ {0 … largestGroupCode}, [OC, G, taps]. */
  readonly groupCodes: Uint8Array;
  /** s, [OC]; positive and finite. */
  readonly channelScales: Float32Array;
}

/** How one layer is quantized to int4. */
export interface SolveInt4Options extends SearchedOptions {
  readonly groupSize: number;
  /** Largest c. With 9 v·c is an int8 weight whose products fit like those of ternary weights; 255 is as good as free scales. */
  readonly largestGroupCode: number;
}

/** Scales of groups may grow by this on the way, as a share of those that fit the largest weight aimed at. */
const HEADROOM = 1.05;

/**
 * Quantizes the weights of one convolution group to int4 with a scale per group, by error feedback.
 *
 * @param weights float32, [OC, IC, taps]; not modified
 * @param moments of the layer's inputs; null: the nearest codes, without feedback
 * @throws RangeError when the arguments do not fit each other
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function solveInt4(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments | null,
  options: SolveInt4Options,
): Int4Weights {
  const { groupSize, largestGroupCode, regress, damping, refinements, searches, minimumScales, metric } = options;
  checkLayout(weights.length, layout);
  checkGroupSize(groupSize);
  checkMinimumScales(minimumScales, layout.outputChannels);
  if (!Number.isInteger(largestGroupCode) || largestGroupCode < 1 || largestGroupCode > 255) {
    throw new RangeError(`largestGroupCode must be an integer from 1 to 255, got ${largestGroupCode}`);
  }
  if (!weights.every(Number.isFinite)) rejectNonFinite(weights, 0, weights.length);
  if (moments !== null) checkMoments(moments, layout);
  if (moments === null && regress) throw new RangeError('regression needs moments');
  const starts = groupStarts(layout, groupSize);
  const aimed =
    moments === null
      ? null
      : feedbackTarget(weights, layout, starts, { moments, regress, damping, refinements, searches, metric });
  const channelScales = scalesOf(aimed?.aim ?? weights, layout, largestGroupCode).map((scale, oc) =>
    Math.max(scale, minimumScales?.[oc] ?? 0),
  );
  const groups = starts.length - 1;
  const steps = Array.from(channelScales, (step) => ({ step, least: 0, most: largestGroupCode }));
  const grid = new IntegerGrid(steps, LARGEST_INT4, starts);
  if (aimed === null) {
    const alike = new Float64Array(layout.inputChannels * layout.taps).fill(1);
    placeAlone(toColumns(weights, layout), starts, alike, grid);
  } else solveOnGrid(aimed, starts, grid, { refinements, searches });
  const places = groupPlaces(layout, groupSize);
  const groupCodes = new Uint8Array(grid.scaleCodes.length);
  grid.scaleCodes.forEach((code, i) => {
    groupCodes[i - (i % groups) + places[i % groups]!] = code;
  });
  return { layout, groupSize, values: codesInTensorOrder(grid.codes, layout), groupCodes, channelScales };
}

/** s: the largest weight of a channel gets the largest code of a group, with room to grow. */
function scalesOf(aim: Float32Array, { outputChannels }: WeightLayout, largestGroupCode: number): Float32Array {
  const perChannel = aim.length / outputChannels;
  return Float32Array.from({ length: outputChannels }, (_, oc) => {
    let largest = 0;
    for (let i = oc * perChannel; i < (oc + 1) * perChannel; i++) largest = Math.max(largest, Math.abs(aim[i]!));
    if (largest === 0) return EMPTY_CHANNEL_SCALE;
    const codes = LARGEST_INT4 * largestGroupCode;
    return storableScale((largest * HEADROOM) / codes, codes);
  });
}
