/** Output channels of one convolution group: solved, corrected, and what their codes mean. They do not depend on other channels. */
import type { LayerPrecision, ResolvedRecipe } from '@tritforge/contracts';
import type { WeightLayout } from '../fgq/index.js';
import { quantizeInt2 } from '../int2/index.js';
import { type Int4Weights, LARGEST_INT4_GROUP_CODE, quantizeInt4 } from '../int4/index.js';
import { codesKind } from '../layers/codes-kind.js';
import { decodeWeights, scaleCodes, type WeightCodes } from '../layers/encoded-weight.js';
import {
  channelMetric,
  correctChannels,
  type InputMoments,
  type LayerMetric,
  layerMetric,
  momentsAboutZero,
  momentsOfChannels,
  type SolveInt4Options,
  solveInt2,
  solveInt4,
  solveInt8,
  solveLayer,
} from '../solve/index.js';

/** Quantized weights, [OC, IC, taps]; their channel scales are corrected. */
export interface SolvedLayer {
  readonly codes: WeightCodes;
  /** What the codes mean, [OC, IC, taps]. */
  readonly decoded: Float32Array;
  /** Corrected, [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
}

/** One convolution group, or a linear layer. Plain data: threads get it as a message. */
export interface GroupProblem {
  /** [OC, IC, taps]. */
  readonly weights: Float32Array;
  readonly layout: WeightLayout;
  readonly applied: LayerPrecision;
  readonly recipe: ResolvedRecipe;
  /** About the mean where that is corrected afterwards, else about zero. */
  readonly moments: InputMoments;
  /** Made of the moments; null: not yet, or not needed. */
  readonly metric: LayerMetric | null;
  /** [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
  /** Lower bounds of the channel scales, [OC]. */
  readonly minimumScales: Float32Array | undefined;
  /** Passes of search in windows; as many as usual where undefined. */
  readonly searches: number | undefined;
}

/** Windows for each column from which on weights can be fitted to outputs. */
const ROWS_PER_COLUMN = 4;

/**
 * Weights from which on there is no search in windows. Four passes lower the loss by 2 % where K = 2048, error feedback and
 * refinement before them by 9 %, and take two thirds of the time: hours for a model of some gigabytes, for one like ResNet-50
 * a minute.
 */
const LARGE_LAYER = 2 ** 22;

/**
 * States a problem; its metric is yet to be made.
 * @param parts with moments about the mean
 * @param overwrite whether these are of no use afterwards
 */
export function groupProblem(parts: Omit<GroupProblem, 'metric' | 'searches'>, overwrite: boolean): GroupProblem {
  const { bias } = parts;
  const moments = correctsMean(parts) ? parts.moments : momentsAboutZero(parts.moments, bias, overwrite);
  return { ...parts, moments, metric: null, searches: parts.weights.length < LARGE_LAYER ? undefined : 0 };
}

/** The problem with what solving different channels of it has in common. */
export function withMetric(problem: GroupProblem): GroupProblem {
  const { applied, recipe, moments, layout } = problem;
  const isFeedback = recipe.weights.solver === 'feedback';
  if (!isFeedback && !(codesKind(applied) === 'ternary' && isRegressed(problem))) return problem;
  const { groupSize } = applied;
  return {
    ...problem,
    metric: groupSize === null ? channelMetric(moments) : layerMetric(moments, layout, { groupSize }),
  };
}

/** The part of a problem that is about the output channels [from, to). */
export function channelsOf(problem: GroupProblem, from: number, to: number): GroupProblem {
  const { layout, weights, moments, bias, minimumScales } = problem;
  const perChannel = layout.inputChannels * layout.taps;
  return {
    ...problem,
    weights: weights.slice(from * perChannel, to * perChannel),
    layout: { ...layout, outputChannels: to - from },
    moments: momentsOfChannels(moments, from, to),
    bias: bias === null ? null : bias.slice(from, to),
    minimumScales: minimumScales?.slice(from, to),
  };
}

/** Solves a problem, or a part of one. */
export function solveGroup(problem: GroupProblem): SolvedLayer {
  const { layout, moments, bias, applied, recipe } = problem;
  const codes = solveCodes(problem);
  const decoded = decodeWeights(codes);
  const corrected = correctChannels(decoded, layout, moments, bias, {
    mean: correctsMean(problem),
    variance: recipe.correction.includes('variance') && applied.bits !== 8,
    isAboutZero: !correctsMean(problem),
  });
  return scaled(codes, decoded, corrected.factors, bias === null ? null : corrected.bias);
}

function correctsMean({ recipe, bias }: Pick<GroupProblem, 'recipe' | 'bias'>): boolean {
  return recipe.correction.includes('mean') && bias !== null;
}

/** Fewer windows than that would be fitted one by one. */
function isRegressed({ recipe, moments }: GroupProblem): boolean {
  return recipe.weights.target === 'outputs' && moments.rows >= ROWS_PER_COLUMN * moments.columns;
}

function solveCodes(problem: GroupProblem): WeightCodes {
  const { weights, layout, moments, applied, recipe, minimumScales, searches } = problem;
  const { solver } = recipe.weights;
  const common = { regress: isRegressed(problem), minimumScales, metric: problem.metric ?? undefined, searches };
  const groupSize = applied.groupSize!;
  const isFeedback = solver === 'feedback';
  const kind = codesKind(applied);
  switch (kind) {
    case 'ternary': {
      const options = { solver, groupSize, planes: applied.planes ?? 1, ...common };
      return { kind, weights: solveLayer(weights, layout, moments, options) };
    }
    case 'int4': {
      const solved = isFeedback
        ? int4ByFeedback(weights, layout, moments, { groupSize, ...common })
        : quantizeInt4(weights, layout, groupSize, { minimumScales });
      return { kind, weights: solved };
    }
    case 'int2': {
      const solved = isFeedback
        ? solveInt2(weights, layout, moments, common)
        : quantizeInt2(weights, layout, { minimumScales });
      return { kind, weights: solved };
    }
    case 'int8':
      return { kind, weights: solveInt8(weights, layout, isFeedback ? moments : null, common) };
  }
}

function int4ByFeedback(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments,
  options: Omit<SolveInt4Options, 'largestGroupCode'>,
): Int4Weights {
  const largestGroupCode = LARGEST_INT4_GROUP_CODE;
  const { values, ...rest } = solveInt4(weights, layout, moments, { ...options, largestGroupCode });
  return { ...rest, codes: values };
}

/** Folds the factors into the channel scales. */
function scaled(
  codes: WeightCodes,
  decoded: Float32Array,
  factors: Float32Array,
  bias: Float32Array | null,
): SolvedLayer {
  if (factors.every((factor) => factor === 1)) return { codes, decoded, bias };
  const scaledCodes = scaleCodes(codes, factors);
  return { codes: scaledCodes, decoded: decodeWeights(scaledCodes), bias };
}
