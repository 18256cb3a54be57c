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
  const moveTo = (id: WidthId, to: number): Move => {
    const shares = sharesOf(new Map(settled).set(id, to), choices, budgets, graph);
    return { id, to, lost: logs.get(id)![settled.get(id)!]! - logs.get(id)![to]!, shares };
  };
  /** Takes the move of the least price, of those that have one. */
  const take = (priceOf: (move: Move) => number | null) => {
    const priced = [...choices].flatMap(([id, { channels }]) =>
      channels.flatMap((_, to) => {
        const price = to === settled.get(id) ? null : priceOf(moveTo(id, to));
        return price === null ? [] : [{ id, to, price }];
      }),
    );
    if (priced.length === 0) return false;
    const { id, to } = priced.reduce((best, move) => (move.price < best.price ? move : best));
    settled.set(id, to);
    return true;
  };
  const present = () => sharesOf(settled, choices, budgets, graph);

  for (let over = excess(present()); over > 0; over = excess(present())) {
    const isLess = take(({ lost, shares }) => ratio(lost, over - excess(shares)));
    if (!isLess) throw nothingFits(budgets, over);
  }
  while (take(({ lost, shares }) => (lost < 0 && excess(shares) === 0 ? lost : null)));
  for (let used = sum(present()); ; used = sum(present())) {
    const isMore = take(({ lost, shares }) => (excess(shares) === 0 ? ratio(lost, sum(shares) - used) : null));
    if (!isMore) return settled;
  }
}

/** One width, put to another candidate. */
interface Move {
  readonly id: WidthId;
  readonly to: number;
  /** Of the logarithm of its likelihood. */
  readonly lost: number;
  /** Of each budget, what all widths cost then. */
  readonly shares: readonly number[];
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
  return excess(sharesOf(at, choices, budgets, graph));
}

function excess(shares: readonly number[]): number {
  return sum(shares.map((share) => Math.max(share - 1, 0)));
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

function nothingFits(budgets: readonly Budget[], over: number): TritforgeError {
  return new TritforgeError(
    'RECIPE_INVALID',
    `No widths among the candidates keep to the ${budgets.length} budgets: at best they are exceeded by ${(100 * over).toFixed(1)} % together`,
    { field: 'recipe.nce.budgets', remediation: 'Allow more, or smaller recipe.nce.candidates.' },
  );
}
