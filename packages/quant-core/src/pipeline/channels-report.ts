/** What a report says of the numbers of channels that a network was given. */
import type { NceLimit, NceReport, ResolvedNce } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { costOf, networkCost } from '../nce/cost.js';
import type { SearchEpoch } from '../nce/search/search-options.js';
import type { FixedWidth, SearchSpace } from '../nce/search-space.js';
import { widthGraph } from '../nce/widths/width-graph.js';
import type { WidthId } from '../nce/widths/width-table.js';

export interface Costs {
  readonly macs: number;
  readonly parameters: number;
}

/** Of the network as it was uploaded, but for its normalizations, which are part of other layers by now. */
export async function originalCosts(prepared: Model): Promise<Costs> {
  const graph = await widthGraph(prepared);
  const { macs, parameters } = networkCost(prepared, graph);
  const asItIs = (id: WidthId) => graph.widthOf(id).channels;
  return { macs: costOf(macs, graph, asItIs), parameters: costOf(parameters, graph, asItIs) };
}

/** What the recipe allows. */
export function limitsOf({ macs, parameters }: ResolvedNce['budgets'], original: Costs): Costs {
  return { macs: limitOf(macs, original.macs), parameters: limitOf(parameters, original.parameters) };
}

function limitOf(limit: NceLimit, original: number): number {
  return typeof limit === 'number' ? Math.floor(limit * original) : limit.atMost;
}

/** Everything that is known of a network whose widths are settled. */
export interface SettledChannels {
  readonly space: SearchSpace;
  readonly fixed: readonly FixedWidth[];
  /** Channels of each searched width. */
  readonly chosen: ReadonlyMap<WidthId, number>;
  readonly original: Costs;
  readonly limits: Costs;
  /** That the search was on, and how it went; none where nothing was searched. */
  readonly samples: number;
  readonly course: readonly SearchEpoch[];
}

export function channelsReport(settled: SettledChannels): NceReport {
  const { space, fixed, chosen, original, limits, samples, course } = settled;
  const { graph, template } = space;
  const cost = networkCost(template, graph);
  const widthOf = (id: WidthId) => chosen.get(graph.widthOf(id).id) ?? graph.widthOf(id).channels;
  const described = (key: keyof Costs) => ({
    original: original[key],
    limit: limits[key],
    result: costOf(cost[key], graph, widthOf),
  });
  return {
    samples,
    seconds: course.at(-1)?.seconds ?? 0,
    widths: [...chosen].map(([id, result]) => {
      const { layers, ties, channels } = graph.widthOf(id);
      return { layers: [...layers], original: channels, result, ties: [...ties] };
    }),
    fixed: fixed.map(({ width: { layers, channels }, reasons }) => ({
      layers: [...layers],
      channels,
      reasons: [...reasons],
    })),
    macs: described('macs'),
    parameters: described('parameters'),
    course: course.map(epochReport),
  };
}

function epochReport({
  epoch,
  seconds,
  weightLoss,
  choiceLoss,
  temperature,
  costs,
  choices,
}: SearchEpoch): NceReport['course'][number] {
  const [macs, parameters] = costs as [number, number];
  return {
    epoch,
    seconds,
    trainingLoss: weightLoss,
    choiceLoss,
    temperature,
    macs,
    parameters,
    choices: choices.map(({ channels, probabilities }) => ({
      channels: [...channels],
      probabilities: [...probabilities],
    })),
  };
}
