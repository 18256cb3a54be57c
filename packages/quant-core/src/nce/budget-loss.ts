/**
 * What keeps the search within its budget. With F of the likeliest widths, F̄ at the expected ones and the budget F*,
 *
 *   L =  ln F̄      where F > F*
 *       −ln F̄      where F < (1 − tolerance) · F*
 *        0          between
 *
 *   ∂L/∂α_k = ± (∂F̄/∂e) · π_k (c_k − e) / F̄,   e = Σ π_j c_j
 *
 * Source: Dong and Yang 2019 (TAS), eq. 6; the sum over several budgets is our choice.
 */
import { type Candidates, expectedChannels, likeliest, probabilities } from './candidates.js';
import { type CostTerm, costGradient, costOf } from './cost.js';
import type { ChannelCounts, WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** A limit to one kind of cost. */
export interface Budget {
  readonly terms: readonly CostTerm[];
  /** F* */
  readonly limit: number;
}

/** A search wants to be no further below its budget than this share of it. */
export const TOLERANCE = 0.05;

export type Choices = ReadonlyMap<WidthId, Candidates>;

/** Channels by the likeliest candidates. */
export function likeliestChannels(choices: Choices): ChannelCounts {
  return new Map([...choices].map(([id, own]) => [id, likeliest(own)]));
}

/** @returns the loss, and its gradient by the logits of each width */
export function budgetLoss(
  { terms, limit }: Budget,
  choices: Choices,
  graph: WidthGraph,
): { loss: number; gradient: Map<WidthId, Float64Array> } {
  const cost = costOf(terms, graph, likeliestChannels(choices));
  const direction = cost > limit ? 1 : cost < (1 - TOLERANCE) * limit ? -1 : 0;
  if (direction === 0) return { loss: 0, gradient: new Map() };
  const means = new Map([...choices].map(([id, candidates]) => [id, expectedChannels(candidates)]));
  const expected = costOf(terms, graph, means);
  const slopes = costGradient(terms, graph, means);
  const gradient = new Map<WidthId, Float64Array>();
  for (const [id, { channels, logits }] of choices) {
    const scale = (direction * (slopes.get(id) ?? 0)) / expected;
    const shares = probabilities(logits);
    gradient.set(
      id,
      shares.map((share, k) => scale * share * (channels[k]! - means.get(id)!)),
    );
  }
  return { loss: direction * Math.log(expected), gradient };
}
