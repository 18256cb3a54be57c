/**
 * The likeliest widths that keep to the budgets. The loss of a budget lets a search end a little above it.
 *
 *   while a budget is exceeded     the candidate joins that costs least likelihood for what it saves
 *   then                           likelier candidates, as long as they fit
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

/** @throws TritforgeError RECIPE_INVALID where no candidates fit */
export function settleWidths(choices: Choices, budgets: readonly Budget[], graph: WidthGraph): Settled {
  const logs = new Map([...choices].map(([id, { logits }]) => [id, probabilities(logits).map(Math.log)] as const));
  const settled: Settled = new Map([...choices].map(([id, { logits }]) => [id, likeliestPosition(logits)]));
  const excess = (at: ReadonlyMap<WidthId, number>) => excessOf(at, choices, budgets, graph);
  for (let over = excess(settled); over > 0; over = excess(settled)) {
    const moves = movesFrom(settled, choices).flatMap(({ id, to }) => {
      const saved = over - excess(new Map(settled).set(id, to));
      const lost = logs.get(id)![settled.get(id)!]! - logs.get(id)![to]!;
      return saved > 0 ? [{ id, to, price: lost / saved }] : [];
    });
    if (moves.length === 0) throw nothingFits(budgets, excess(settled));
    const { id, to } = moves.reduce((best, move) => (move.price < best.price ? move : best));
    settled.set(id, to);
  }
  for (;;) {
    const moves = movesFrom(settled, choices)
      .map(({ id, to }) => ({ id, to, gained: logs.get(id)![to]! - logs.get(id)![settled.get(id)!]! }))
      .filter(({ id, to, gained }) => gained > 0 && excess(new Map(settled).set(id, to)) === 0);
    if (moves.length === 0) return settled;
    const { id, to } = moves.reduce((best, move) => (move.gained > best.gained ? move : best));
    settled.set(id, to);
  }
}

function movesFrom(settled: Settled, choices: Choices): { id: WidthId; to: number }[] {
  return [...choices].flatMap(([id, { channels }]) =>
    channels.flatMap((_, to) => (to === settled.get(id) ? [] : [{ id, to }])),
  );
}

/** How far budgets are exceeded, in shares of them, all together. */
export function excessOf(
  at: ReadonlyMap<WidthId, number>,
  choices: Choices,
  budgets: readonly Budget[],
  graph: WidthGraph,
): number {
  const counts = channelsAt(at, choices);
  return budgets.reduce((sum, { terms, limit }) => sum + Math.max(costOf(terms, graph, counts) / limit - 1, 0), 0);
}

function nothingFits(budgets: readonly Budget[], excess: number): TritforgeError {
  return new TritforgeError(
    'RECIPE_INVALID',
    `No widths among the candidates keep to the ${budgets.length} budgets: at best they are exceeded by ${(100 * excess).toFixed(1)} % together`,
    { field: 'recipe.nce.budgets', remediation: 'Allow more, or smaller recipe.nce.candidates.' },
  );
}
