/**
 * The solver `weighted`: every weight counts by how much its input varies.
 *
 *   minimise  Σ h_i (w_i − c s t_i)²      h_i = H_ii + λ
 *
 * Group by group this is exact for a given s: the kept weights are a prefix of the descending magnitudes whatever h is,
 * since every weight wants the nearest of −cs, 0 and cs; for each prefix the best code is the integer nearest to
 * Σ h|w| / (s Σ h). Then s and the codes are improved in turn. A second plane is the same on what the first one leaves.
 */
import { MAX_GROUP_CODE, type TernaryPlane, type TernaryWeights } from '../fgq/index.js';
import { storableScale } from '../int8/weight-scale.js';
import { groupStarts, toColumns } from './column-order.js';
import { solveExact } from './exact.js';
import { DEFAULT_DAMPING } from './layer-metric.js';
import type { Calibrated, TernaryProblem } from './layer-problem.js';
import { ternaryWeights } from './ternary-result.js';

/** Times that s is fitted to the codes and the codes to s. */
const ROUNDS = 4;

/** Ternarizes by the variances of the inputs. */
export function solveWeighted(problem: TernaryProblem, { moments, damping }: Calibrated): TernaryWeights {
  const { layout, groupSize, planes, minimumScales } = problem;
  const { outputChannels } = layout;
  const starts = groupStarts(layout, groupSize);
  const groups = starts.length - 1;
  const columns = toColumns(problem.weights, layout);
  const importance = importances(moments.second, moments.columns, damping ?? DEFAULT_DAMPING);
  const scales = solveExact(problem).channelScales;
  const coded = Array.from(
    { length: planes },
    (): TernaryPlane => ({
      codes: new Int8Array(columns.length),
      groupCodes: new Uint8Array(outputChannels * groups),
    }),
  );
  for (let oc = 0; oc < outputChannels; oc++) {
    const row = columns.subarray(oc * moments.columns, (oc + 1) * moments.columns);
    const own = coded.map(({ codes, groupCodes }) => ({
      codes: codes.subarray(oc * moments.columns, (oc + 1) * moments.columns),
      groupCodes: groupCodes.subarray(oc * groups, (oc + 1) * groups),
    }));
    const channel = { row, importance, starts, planes: own };
    for (let round = 0; round < ROUNDS; round++) {
      codeChannel(channel, scales[oc]!);
      scales[oc] = fittedScale(channel, scales[oc]!, minimumScales?.[oc] ?? 0);
    }
    codeChannel(channel, scales[oc]!);
  }
  return ternaryWeights(layout, groupSize, scales, coded);
}

interface Channel {
  readonly row: Float64Array;
  /** h. */
  readonly importance: Float64Array;
  readonly starts: Int32Array;
  readonly planes: readonly TernaryPlane[];
}

/** H_ii + λ; ones where no input ever varied. */
function importances(second: Float64Array, columns: number, damping: number): Float64Array {
  const diagonal = Float64Array.from({ length: columns }, (_, i) => second[i * columns + i]!);
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / columns;
  return mean > 0 ? diagonal.map((value) => value + damping * mean) : diagonal.fill(1);
}

/** The best codes of every group at this scale, plane after plane. */
function codeChannel({ row, importance, starts, planes }: Channel, scale: number): void {
  for (let group = 0; group + 1 < starts.length; group++) {
    const [start, end] = [starts[group]!, starts[group + 1]!];
    const rest = row.slice(start, end);
    let free = MAX_GROUP_CODE;
    for (const { codes, groupCodes } of planes) {
      const code = chooseCode(rest, importance, start, scale, free);
      const alpha = code * scale;
      free -= code;
      groupCodes[group] = code;
      for (let i = 0; i < rest.length; i++) {
        const t = code === 0 || Math.abs(rest[i]!) <= alpha / 2 ? 0 : Math.sign(rest[i]!);
        codes[start + i] = t;
        rest[i] = rest[i]! - t * alpha;
      }
    }
  }
}

/** argmax over codes c and prefixes of c s (2 Σ h|w| − c s Σ h); 0 gains nothing. */
function chooseCode(
  weights: Float64Array,
  importance: Float64Array,
  start: number,
  scale: number,
  largest: number,
): number {
  const order = Array.from(weights.keys()).sort((a, b) => Math.abs(weights[b]!) - Math.abs(weights[a]!));
  let [best, bestGain, pulled, norm] = [0, 0, 0, 0];
  for (const i of order) {
    pulled += importance[start + i]! * Math.abs(weights[i]!);
    norm += importance[start + i]!;
    if (!(norm > 0)) continue;
    const code = Math.min(Math.round(pulled / (norm * scale)), largest);
    const gain = code * scale * (2 * pulled - code * scale * norm);
    if (gain <= bestGain) continue;
    best = code;
    bestGain = gain;
  }
  return best;
}

/** Σ h k w / Σ h k² with k = t c + t₂ c₂, within its bounds; the scale before where all codes are zero. */
function fittedScale({ row, importance, starts, planes }: Channel, scale: number, minimum: number): number {
  let [pulled, norm] = [0, 0];
  for (let group = 0; group + 1 < starts.length; group++) {
    for (let i = starts[group]!; i < starts[group + 1]!; i++) {
      const code = planes.reduce((sum, plane) => sum + plane.codes[i]! * plane.groupCodes[group]!, 0);
      pulled += importance[i]! * code * row[i]!;
      norm += importance[i]! * code * code;
    }
  }
  return pulled > 0 ? Math.max(storableScale(pulled / norm, MAX_GROUP_CODE), minimum) : scale;
}
