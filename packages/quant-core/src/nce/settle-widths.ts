/**
 * The likeliest widths that keep to the budgets and use them. The loss of a budget lets a search end a little above it; the step back can
 * be a large one, and what it leaves is worth accuracy. The channels that the network came with count for likelier than they are: weights
 * fit them, and likelihoods of neighbours differ from one seed to the next.
 *
 *   while a budget is exceeded     the candidate joins that costs least likelihood for what it saves
 *   then                           likelier candidates, as long as they fit
 *   then                           as long as one fits, the candidate that costs least likelihood for what more it uses
 */
import { TritforgeError } from '@tritforge/contracts';
import type { Budget, Choices } from './budget-loss.js';
import { likeliestPosition, probabilities } from './candidates.js';
import { costOf } from './cost.js';
import type { WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** Position of the chosen candidate of each width. */
export type Settled = Map<WidthId, number>;

/** Channels of the candidates at these positions. */
export function channelsAt(positions: ReadonlyMap<WidthId, number>, choices: Choices): Map<WidthId, number> {
  return new Map([...positions].map(([id, position]) => [id, choices.get(id)!.channels[position]!]));
}

/**
 * @param odds how many times as likely as the channels that the network came with others have to be
 * @throws TritforgeError RECIPE_INVALID where no candidates fit
 */
export function settleWidths(choices: Choices, budgets: readonly Budget[], graph: WidthGraph, odds = 1): Settled {
  const bonus = (id: WidthId, channels: number) => (channels === graph.widthOf(id).channels ? Math.log(odds) : 0);
  const logs = new Map(
    [...choices].map(([id, { channels, logits }]) => {
      const shares = probabilities(logits);
      return [id, shares.map((share, k) => Math.log(share) + bonus(id, channels[k]!))] as const;
    }),
  );
  const settled: Settled = new Map([...logs].map(([id, own]) => [id, likeliestPosition(own)]));
  const excess = (at: ReadonlyMap<WidthId, number>) => excessOf(at, choices, budgets, graph);
  const used = (at: ReadonlyMap<WidthId, number>) => sum(sharesOf(at, choices, budgets, graph));
  const fits = (at: ReadonlyMap<WidthId, number>) => excess(at) === 0;
  const lost = ({ id, to }: Move) => logs.get(id)![settled.get(id)!]! - logs.get(id)![to]!;
  const moves = () =>
    [...choices].flatMap(([id, { channels }]) =>
      channels.flatMap((_, to): Move[] =>
        to === settled.get(id) ? [] : [{ id, to, at: new Map(settled).set(id, to) }],
      ),
    );
  /** Takes the move of the least price, of those that have one. */
  const take = (priceOf: (move: Move) => number | null) => {
    const priced = moves().flatMap((move) => {
      const price = priceOf(move);
      return price === null ? [] : [{ ...move, price }];
    });
    if (priced.length === 0) return false;
    const { id, to } = priced.reduce((best, move) => (move.price < best.price ? move : best));
    settled.set(id, to);
    return true;
  };

  for (let over = excess(settled); over > 0; over = excess(settled)) {
    const isLess = take((move) => ratio(lost(move), over - excess(move.at)));
    if (!isLess) throw nothingFits(budgets, over);
  }
  while (take((move) => (lost(move) < 0 && fits(move.at) ? lost(move) : null)));
  for (let before = used(settled); ; before = used(settled)) {
    const isMore = take((move) => (fits(move.at) ? ratio(lost(move), used(move.at) - before) : null));
    if (!isMore) return settled;
  }
}

/** One width, put to another candidate. */
interface Move {
  readonly id: WidthId;
  readonly to: number;
  readonly at: ReadonlyMap<WidthId, number>;
}

/** Likelihood that is lost for what is won; null where nothing is. */
function ratio(lost: number, won: number): number | null {
  return won > 0 ? lost / won : null;
}

/** How far budgets are exceeded, in shares of them, all together. */
export function excessOf(
  at: ReadonlyMap<WidthId, number>,
  choices: Choices,
  budgets: readonly Budget[],
  graph: WidthGraph,
): number {
  return sum(sharesOf(at, choices, budgets, graph).map((share) => Math.max(share - 1, 0)));
}

/** Of each budget, what the candidates at these positions cost. */
function sharesOf(
  at: ReadonlyMap<WidthId, number>,
  choices: Choices,
  budgets: readonly Budget[],
  graph: WidthGraph,
): number[] {
  const counts = channelsAt(at, choices);
  return budgets.map(({ terms, limit }) => costOf(terms, graph, counts) / limit);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function nothingFits(budgets: readonly Budget[], excess: number): TritforgeError {
  return new TritforgeError(
    'RECIPE_INVALID',
    `No widths among the candidates keep to the ${budgets.length} budgets: at best they are exceeded by ${(100 * excess).toFixed(1)} % together`,
    { field: 'recipe.nce.budgets', remediation: 'Allow more, or smaller recipe.nce.candidates.' },
  );
}
