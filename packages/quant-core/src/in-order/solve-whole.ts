/** One layer as a whole: its convolution groups are solved one after the other and put together again. */
import type { ResolvedRecipe } from '@tritforge/contracts';
import type { CodePlane, GroupedWeights, WeightLayout } from '../fgq/index.js';
import { type Int4Weights, LARGEST_INT4_GROUP_CODE, quantizeInt4 } from '../int4/index.js';
import { quantizeInt8 } from '../int8/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import {
  correctChannels,
  type InputMoments,
  momentsAboutZero,
  type SolveInt4Options,
  solveInt4,
  solveInt8,
  solveLayer,
} from '../solve/index.js';

/** A quantized layer, [OC, IC, taps]; its channel scales are corrected. */
export interface SolvedLayer {
  readonly codes: WeightCodes;
  /** What the codes mean, [OC, IC, taps]. */
  readonly decoded: Float32Array;
  /** Corrected, [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
}

export interface SolveWholeOptions {
  /** One per convolution group. */
  readonly moments: readonly InputMoments[];
  /** [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
  readonly recipe: ResolvedRecipe;
  /** Lower bounds of the channel scales, [OC]. */
  readonly minimumScales: Float32Array | undefined;
}

/** Windows for each column from which on weights can be fitted to outputs. */
const ROWS_PER_COLUMN = 4;

/** @param weights [OC, IC, taps] */
export function solveWhole(weights: Float32Array, planned: PlannedLayer, options: SolveWholeOptions): SolvedLayer {
  const parts = options.moments.map((moments, group) => solvePart(weights, planned, options, { moments, group }));
  const bias = options.bias === null ? null : joinFloats(parts.map((part) => part.bias!));
  const decoded = joinFloats(parts.map((part) => part.decoded));
  return { codes: joinCodes(parts, planned.layer.layout), decoded, bias };
}

/** The same for a layer whose inputs are not known: the codes nearest to its weights. */
export function nearestWhole(
  weights: Float32Array,
  planned: PlannedLayer,
  { bias, minimumScales }: Omit<SolveWholeOptions, 'moments'>,
): SolvedLayer {
  const codes: WeightCodes =
    planned.applied.bits === 8
      ? { kind: 'int8', weights: quantizeInt8(weights, planned.layer.layout, { minimumScales }) }
      : nearestCodes(weights, planned, minimumScales);
  return { codes, decoded: decodeWeights(codes), bias };
}

/** The corrected bias of a layer whose weight was solved for another layer that shares it; null where it can have none. */
export function correctMeans(
  { decoded }: SolvedLayer,
  layout: WeightLayout,
  moments: readonly InputMoments[],
  bias: Float32Array | null,
): Float32Array | null {
  if (bias === null) return null;
  const part = layoutOfGroup(layout, moments.length);
  const perPart = part.outputChannels * part.inputChannels * part.taps;
  const biases = moments.map((ofGroup, group) => {
    const own = bias.subarray(group * part.outputChannels, (group + 1) * part.outputChannels);
    const weights = decoded.subarray(group * perPart, (group + 1) * perPart);
    return correctChannels(weights, part, ofGroup, own, { mean: true, variance: false }).bias;
  });
  return joinFloats(biases);
}

function solvePart(
  weights: Float32Array,
  { layer, applied }: PlannedLayer,
  { moments: all, bias, recipe, minimumScales }: SolveWholeOptions,
  { moments, group }: { readonly moments: InputMoments; readonly group: number },
): SolvedLayer {
  const layout = layoutOfGroup(layer.layout, all.length);
  const channels = [group * layout.outputChannels, (group + 1) * layout.outputChannels] as const;
  const perChannel = layout.inputChannels * layout.taps;
  const own = weights.subarray(channels[0] * perChannel, channels[1] * perChannel);
  const bounds = { minimumScales: minimumScales?.subarray(...channels) };
  const correctsMean = recipe.correction.includes('mean') && bias !== null;
  const part = {
    weights: own,
    layout,
    moments: correctsMean ? moments : momentsAboutZero(moments, bias?.subarray(...channels) ?? null),
  };
  const codes = solveCodes(part, applied, recipe, bounds);
  const decoded = decodeWeights(codes);
  const corrected = correctChannels(decoded, layout, moments, bias?.subarray(...channels) ?? null, {
    mean: correctsMean,
    variance: recipe.correction.includes('variance') && codes.kind !== 'int8',
  });
  return scaled(codes, decoded, corrected.factors, bias === null ? null : corrected.bias);
}

/** One convolution group and what is known about its inputs. */
interface Part {
  readonly weights: Float32Array;
  readonly layout: WeightLayout;
  readonly moments: InputMoments;
}

function solveCodes(
  { weights, layout, moments }: Part,
  applied: PlannedLayer['applied'],
  recipe: ResolvedRecipe,
  bounds: { readonly minimumScales: Float32Array | undefined },
): WeightCodes {
  const { solver, target } = recipe.weights;
  // Fewer windows than that would be fitted one by one.
  const regress = target === 'outputs' && moments.rows >= ROWS_PER_COLUMN * moments.columns;
  const groupSize = applied.groupSize!;
  if (applied.bits === 2) {
    const options = { solver, groupSize, planes: applied.planes ?? 1, regress, ...bounds };
    return { kind: 'ternary', weights: solveLayer(weights, layout, moments, options) };
  }
  const isFeedback = solver === 'feedback';
  if (applied.bits === 4) {
    const solved = isFeedback
      ? int4ByFeedback(weights, layout, moments, { groupSize, regress, ...bounds })
      : quantizeInt4(weights, layout, groupSize, bounds);
    return { kind: 'int4', weights: solved };
  }
  return { kind: 'int8', weights: solveInt8(weights, layout, isFeedback ? moments : null, { regress, ...bounds }) };
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
  if (codes.kind === 'int8') throw new TypeError('int8 weights have no factors');
  const channelScales = codes.weights.channelScales.map((scale, oc) => scale * factors[oc]!);
  const { kind } = codes;
  const scaledCodes: WeightCodes = { kind, weights: { ...codes.weights, channelScales } };
  return { codes: scaledCodes, decoded: decodeWeights(scaledCodes), bias };
}

function layoutOfGroup({ outputChannels, inputChannels, taps }: WeightLayout, groups: number): WeightLayout {
  return { outputChannels: outputChannels / groups, inputChannels, taps };
}

function joinCodes(parts: readonly SolvedLayer[], layout: WeightLayout): WeightCodes {
  if (parts.length === 1) return parts[0]!.codes;
  const grouped = parts.flatMap(({ codes }) => (codes.kind === 'int8' ? [] : [codes]));
  if (grouped.length === parts.length) {
    return {
      kind: grouped[0]!.kind,
      weights: joinGroups(
        grouped.map(({ weights }) => weights),
        layout,
      ),
    };
  }
  const int8 = parts.flatMap(({ codes }) => (codes.kind === 'int8' ? [codes.weights] : []));
  const values = Int8Array.from(int8.flatMap((part) => [...part.values]));
  return { kind: 'int8', weights: { layout, values, scales: joinFloats(int8.map(({ scales }) => scales)) } };
}

function joinGroups(parts: readonly GroupedWeights[], layout: WeightLayout): GroupedWeights {
  const residuals = parts.flatMap(({ residual }) => (residual === undefined ? [] : [residual]));
  return {
    layout,
    groupSize: parts[0]!.groupSize,
    ...joinPlanes(parts),
    ...(residuals.length > 0 && { residual: joinPlanes(residuals) }),
    channelScales: joinFloats(parts.map(({ channelScales }) => channelScales)),
  };
}

function joinPlanes(planes: readonly CodePlane[]): CodePlane {
  return {
    codes: Int8Array.from(planes.flatMap(({ codes }) => [...codes])),
    groupCodes: Uint8Array.from(planes.flatMap(({ groupCodes }) => [...groupCodes])),
  };
}

function joinFloats(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
