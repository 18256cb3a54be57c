/** What a report says of the numbers of channels that a network was given. */
import type { NceReport } from '@tritforge/contracts';
import type { Refined } from '../nce/refine-widths.js';
import type { SearchEpoch } from '../nce/search/search-options.js';
import type { FixedWidth, SearchSpace } from '../nce/search-space.js';
import type { ChannelCounts } from '../nce/widths/width-graph.js';
import { type ChannelBudget, costWithin } from './channel-budgets.js';

/** Everything that is known of a network whose widths are settled. */
export interface SettledChannels {
  readonly space: SearchSpace;
  readonly fixed: readonly FixedWidth[];
  /** Channels of each searched width. */
  readonly chosen: ChannelCounts;
  readonly budgets: readonly ChannelBudget[];
  /** Of the first artifact, where they are limited. */
  readonly bytes: number | null;
  /** What exchanging channels came to; null where that was not asked for. */
  readonly refined: Omit<Refined, 'widths'> | null;
  /** That the search was on, and how it went; none where nothing was searched. */
  readonly samples: number;
  readonly course: readonly SearchEpoch[];
}

export function channelsReport(settled: SettledChannels): NceReport {
  const { space, fixed, chosen, budgets, bytes, refined, samples, course } = settled;
  return {
    samples,
    seconds: course.at(-1)?.seconds ?? 0,
    widths: [...chosen].map(([id, result]) => {
      const { layers, ties, channels } = space.graph.widthOf(id);
      return { layers: [...layers], original: channels, result, ties: [...ties] };
    }),
    fixed: fixed.map(({ width: { layers, channels }, reasons }) => ({
      layers: [...layers],
      channels,
      reasons: [...reasons],
    })),
    ...byName(budgets, (budget) => ({
      original: budget.original,
      limit: budget.allowed,
      result: (budget.name === 'bytes' ? bytes : null) ?? costWithin(budget, space, chosen),
    })),
    ...(refined && { refined: { networks: refined.measured, before: refined.before, after: refined.after } }),
    course: course.map((epoch) => epochReport(epoch, budgets)),
  };
}

function epochReport(
  { epoch, seconds, weightLoss, choiceLoss, temperature, costs, choices }: SearchEpoch,
  budgets: readonly ChannelBudget[],
): NceReport['course'][number] {
  return {
    epoch,
    seconds,
    trainingLoss: weightLoss,
    choiceLoss,
    temperature,
    ...byName(budgets, ({ limit, whole, allowed }, i) => (costs[i]! * limit + whole) / allowed),
    choices: choices.map(({ channels, probabilities }) => ({
      channels: [...channels],
      probabilities: [...probabilities],
    })),
  };
}

/** Multiply-accumulates and parameters are always limited. */
function byName<Value>(
  budgets: readonly ChannelBudget[],
  of: (budget: ChannelBudget, i: number) => Value,
): { macs: Value; parameters: Value; bytes?: Value } {
  return Object.fromEntries(budgets.map((budget, i) => [budget.name, of(budget, i)])) as {
    macs: Value;
    parameters: Value;
  };
}
