/** What a network with other numbers of channels may cost, and what it costs. */
import type { NceBudgets, NceLimit, ResolvedNce } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { type ArtifactBytes, artifactBytes } from '../nce/artifact-bytes.js';
import type { Budget } from '../nce/budget-loss.js';
import { type CostTerm, costOf, networkCost } from '../nce/cost.js';
import type { SearchSpace } from '../nce/search-space.js';
import type { SupernetBase } from '../nce/supernet/supernet-graph.js';
import { type ChannelCounts, widthGraph } from '../nce/widths/width-graph.js';
import type { WidthId } from '../nce/widths/width-table.js';

/** Its terms are of the network that is searched, its limit is without what does not follow the widths. */
export interface ChannelBudget extends Budget {
  readonly name: keyof NceBudgets;
  /** Costs beside the terms. */
  readonly whole: number;
  /** Of the network as it was uploaded. */
  readonly original: number;
  /** What the recipe allows. */
  readonly allowed: number;
}

/** A network whose widths are searched. */
export interface BudgetedNetwork {
  readonly prepared: Model;
  readonly space: SearchSpace;
  readonly template: SupernetBase;
  readonly searched: readonly WidthId[];
  /** Bytes of the first artifact of the template with so many channels. */
  readonly sizeAt: (counts: ChannelCounts) => Promise<number>;
}

/** In the order of the report: multiply-accumulates, parameters, and bytes where they are limited. */
export async function channelBudgets(
  limits: ResolvedNce['budgets'],
  network: BudgetedNetwork,
): Promise<ChannelBudget[]> {
  const { space, template, searched, sizeAt } = network;
  const original = await originalCosts(network.prepared);
  const { macs, parameters } = networkCost(space.template, space.graph);
  const budgets = [
    budgetOf('macs', limits.macs, original.macs, { terms: macs, whole: 0 }),
    budgetOf('parameters', limits.parameters, original.parameters, { terms: parameters, whole: 0 }),
  ];
  if (limits.bytes === null) return budgets;
  const bytes = await artifactBytes(template.layers, { graph: space.graph, searched }, sizeAt);
  const asItIs = bytes.whole + costOf(bytes.terms, space.graph);
  return [...budgets, budgetOf('bytes', limits.bytes, Math.round(asItIs), bytes)];
}

/** Of given widths. */
export function costWithin({ terms, whole }: ChannelBudget, { graph }: SearchSpace, counts: ChannelCounts): number {
  return Math.round(whole + costOf(terms, graph, counts));
}

function budgetOf(
  name: keyof NceBudgets,
  limit: NceLimit,
  original: number,
  { terms, whole }: Pick<ArtifactBytes, 'whole'> & { readonly terms: readonly CostTerm[] },
): ChannelBudget {
  const allowed = typeof limit === 'number' ? Math.floor(limit * original) : limit.atMost;
  return { name, terms, limit: allowed - whole, whole, original, allowed };
}

/** Without normalizations, which are part of other layers by now. */
async function originalCosts(prepared: Model): Promise<{ macs: number; parameters: number }> {
  const graph = await widthGraph(prepared);
  const { macs, parameters } = networkCost(prepared, graph);
  return { macs: costOf(macs, graph), parameters: costOf(parameters, graph) };
}
