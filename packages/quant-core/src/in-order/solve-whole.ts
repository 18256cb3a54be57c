/** One layer as a whole: its convolution groups are solved one after the other and put together again. */
import type { ResolvedRecipe } from '@tritforge/contracts';
import type { CodePlane, GroupedWeights, WeightLayout } from '../fgq/index.js';
import { decodeWeights, type WeightCodes } from '../layers/encoded-weight.js';
import type { PlannedLayer } from '../layers/layer.js';
import { nearestCodes } from '../layers/nearest-codes.js';
import { shareFloat64 } from '../linalg/index.js';
import { correctChannels, type InputMoments } from '../solve/index.js';
import {
  channelsOf,
  type GroupProblem,
  groupProblem,
  type SolvedLayer,
  solveGroup,
  withMetric,
} from './solve-channels.js';
import type { SolverThreads } from './solver-threads.js';

export type { SolvedLayer } from './solve-channels.js';

export interface SolveWholeOptions {
  /** One per convolution group. */
  readonly moments: readonly InputMoments[];
  /** [OC]; null where the layer can have none. */
  readonly bias: Float32Array | null;
  readonly recipe: ResolvedRecipe;
  /** Lower bounds of the channel scales, [OC]. */
  readonly minimumScales: Float32Array | undefined;
  /** Whether second moments are of no use afterwards: a copy of them is saved then. */
  readonly overwritesMoments?: boolean;
}

/** Output channels of a part, at most: what a thread keeps of one grows with them. */
const MOST_CHANNELS = 256;
/** Threads that shared more than this end with the layer, as they may keep it for long. */
const MOST_REMEMBERED_BYTES = 64 * 2 ** 20;

/** @param weights [OC, IC, taps] */
export function solveWhole(weights: Float32Array, planned: PlannedLayer, options: SolveWholeOptions): SolvedLayer {
  const parts = options.moments.map((_, group) => solveGroup(problemOf(weights, planned, options, group)));
  return joinParts(parts, planned.layer.layout);
}

/** The same on several threads. @throws TritforgeError CANCELED */
export async function solveWholeInThreads(
  weights: Float32Array,
  planned: PlannedLayer,
  options: SolveWholeOptions,
  threads: SolverThreads,
  signal?: AbortSignal,
): Promise<SolvedLayer> {
  const { layout } = planned.layer;
  if (threads.count === 1 || weights.length < threads.fewestWeights) return solveWhole(weights, planned, options);
  const parts: SolvedLayer[] = [];
  let rememberedBytes = 0;
  for (let group = 0; group < options.moments.length; group++) {
    const problem = shared(withMetric(problemOf(weights, planned, options, group)));
    rememberedBytes += 2 * problem.moments.second.byteLength;
    const ranges = channelRanges(problem.layout.outputChannels, threads.count);
    const tasks = ranges.map(
      ([from, to]) =>
        () =>
          channelsOf(problem, from, to),
    );
    parts.push(...(await threads.solve(tasks, signal)));
  }
  if (rememberedBytes > MOST_REMEMBERED_BYTES) await threads.close();
  return joinParts(parts, layout);
}

/** As many equal ranges as threads, or a multiple of it where they would be too large. */
function channelRanges(channels: number, threads: number): [number, number][] {
  const rounds = Math.ceil(channels / (threads * MOST_CHANNELS));
  const count = Math.min(channels, threads * rounds);
  const bound = (i: number) => Math.floor((i * channels) / count);
  return Array.from({ length: count }, (_, i) => [bound(i), bound(i + 1)]);
}

/** The problem with its large arrays in memory that threads share. */
function shared(problem: GroupProblem): GroupProblem {
  const { moments } = problem;
  return { ...problem, moments: { ...moments, second: shareFloat64(moments.second) } };
}

/** The same for a layer whose inputs are not known: the codes nearest to its weights. */
export function nearestWhole(
  weights: Float32Array,
  planned: PlannedLayer,
  { bias, minimumScales }: Omit<SolveWholeOptions, 'moments'>,
): SolvedLayer {
  const codes = nearestCodes(weights, planned, minimumScales);
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

function problemOf(
  weights: Float32Array,
  { layer, applied }: PlannedLayer,
  { moments: all, bias, recipe, minimumScales, overwritesMoments = false }: SolveWholeOptions,
  group: number,
): GroupProblem {
  const layout = layoutOfGroup(layer.layout, all.length);
  const channels = [group * layout.outputChannels, (group + 1) * layout.outputChannels] as const;
  const perChannel = layout.inputChannels * layout.taps;
  const parts = {
    weights: weights.subarray(channels[0] * perChannel, channels[1] * perChannel),
    layout,
    applied,
    recipe,
    moments: all[group]!,
    bias: bias === null ? null : bias.subarray(...channels),
    minimumScales: minimumScales?.subarray(...channels),
  };
  return groupProblem(parts, overwritesMoments);
}

function joinParts(parts: readonly SolvedLayer[], layout: WeightLayout): SolvedLayer {
  if (parts.length === 1) return parts[0]!;
  const biases = parts.flatMap(({ bias }) => (bias === null ? [] : [bias]));
  return {
    codes: joinCodes(parts, layout),
    decoded: joinFloats(parts.map(({ decoded }) => decoded)),
    bias: biases.length === 0 ? null : joinFloats(biases),
  };
}

function layoutOfGroup({ outputChannels, inputChannels, taps }: WeightLayout, groups: number): WeightLayout {
  return { outputChannels: outputChannels / groups, inputChannels, taps };
}

function joinCodes(parts: readonly SolvedLayer[], layout: WeightLayout): WeightCodes {
  if (parts.length === 1) return parts[0]!.codes;
  const grouped = parts.flatMap(({ codes }) => (codes.kind === 'int8' || codes.kind === 'int2' ? [] : [codes]));
  if (grouped.length === parts.length) {
    return {
      kind: grouped[0]!.kind,
      weights: joinGroups(
        grouped.map(({ weights }) => weights),
        layout,
      ),
    };
  }
  const plain = parts.flatMap(({ codes }) => (codes.kind === 'int8' || codes.kind === 'int2' ? [codes] : []));
  const values = joinInto(
    Int8Array,
    plain.map(({ weights }) => weights.values),
  );
  const scales = joinFloats(plain.map(({ weights }) => weights.scales));
  return { kind: plain[0]!.kind, weights: { layout, values, scales } };
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
    codes: joinInto(
      Int8Array,
      planes.map(({ codes }) => codes),
    ),
    groupCodes: joinInto(
      Uint8Array,
      planes.map(({ groupCodes }) => groupCodes),
    ),
  };
}

function joinFloats(parts: readonly Float32Array[]): Float32Array {
  return parts.length === 1 ? parts[0]! : joinInto(Float32Array, parts);
}

function joinInto<A extends Int8Array | Uint8Array | Float32Array>(
  make: new (length: number) => A,
  parts: readonly A[],
): A {
  const joined = new make(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
