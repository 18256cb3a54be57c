/**
 * Networks to compare a searched one with, of no more multiply-accumulates:
 *
 *   original   the widths of the network that was uploaded, whatever they cost
 *   uniform    those times one factor
 *   random     widths in random proportions
 */
import { type CostTerm, costOf } from './cost.js';
import type { WidthGraph } from './widths/width-graph.js';
import { scaledWidth, type WidthId } from './widths/width-table.js';

export type ControlName = 'original' | 'uniform' | 'random';

/** How a network is made wider or narrower. */
export interface ControlSpace {
  readonly graph: WidthGraph;
  readonly searched: readonly WidthId[];
  /** Multiply-accumulates. */
  readonly macs: readonly CostTerm[];
}

/** Shares of the channels that random networks are drawn from, before all of them are scaled to the same cost. */
const RANDOM_SHARES = { from: 0.3, to: 1.7 };
/** No width needs a larger factor to use up what a network of the same cost has. */
const MOST = 16;
const HALVINGS = 40;

/**
 * @param macs that uniform and random ones may have
 * @param random in [0, 1)
 * @returns channels of each searched width
 */
export function controlWidths(
  name: ControlName,
  space: ControlSpace,
  macs: number,
  random: () => number,
): Map<WidthId, number> {
  const { graph, searched } = space;
  if (name === 'original') return new Map(searched.map((id) => [id, graph.widthOf(id).channels]));
  const { from, to } = RANDOM_SHARES;
  const shares = searched.map(() => (name === 'uniform' ? 1 : from + (to - from) * random()));
  return scaled(space, shares, macs);
}

/** The largest network in these proportions. */
function scaled({ graph, searched, macs }: ControlSpace, shares: readonly number[], most: number) {
  const at = (factor: number) =>
    new Map(searched.map((id, i) => [id, scaledWidth(graph.widthOf(id), shares[i]! * factor)] as const));
  let [low, high] = [0, MOST];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (costOf(macs, graph, at(middle)) <= most) low = middle;
    else high = middle;
  }
  return at(low);
}
