/**
 * Widths by what they do, from those that are likeliest: some grow and others pay for it, for as long as the loss of the supernet falls.
 *
 *   Δ(w → c)   change of the loss by another candidate c, next to the present one, for one width w
 *   moves      up to three such changes together that keep to the budgets, first those whose Σ Δ is lowest
 *   step       the best of the first few by its own loss, where that is lower by more than two standard errors
 *
 * Likelihoods compare candidates of one width while all others vary; what a width is worth to another one, they do not say.
 *
 * Source: our choice, after Yu and Huang 2019 (AutoSlim), §3: greedily by the loss of one network that has all widths.
 */
import type { Budget, Choices } from './budget-loss.js';
import { excessOf, type Settled } from './settle-widths.js';
import type { WidthGraph } from './widths/width-graph.js';
import type { WidthId } from './widths/width-table.js';

/** Changes that a move makes at the most. */
const MOST_CHANGES = 3;
/** Moves of a step whose loss is measured. */
const MEASURED_MOVES = 12;
/** Standard errors of the difference between two losses that are taken for more than chance. */
const CERTAIN = 2;
/** Steps, after which the widths are what they are. */
const MOST_STEPS = 30;

export interface RefineOptions {
  readonly choices: Choices;
  readonly budgets: readonly Budget[];
  readonly graph: WidthGraph;
  /** Losses of the same batches for each network. */
  readonly lossesOf: (widths: Settled) => Promise<readonly number[]>;
  readonly onStep?: ((widths: Settled, loss: number) => void) | undefined;
  /** Ends it with the best widths so far. */
  readonly settle?: AbortSignal | undefined;
}

export interface Refined {
  readonly widths: Settled;
  /** Mean losses, of the widths at the start and of the result. */
  readonly before: number;
  readonly after: number;
  /** Networks whose loss was measured. */
  readonly measured: number;
}

/** Another candidate for one width. */
interface Change {
  readonly id: WidthId;
  readonly to: number;
  /** Of the loss, when it is the only one. */
  readonly difference: number;
}

/** @param start within the budgets */
export async function refineWidths(start: Settled, options: RefineOptions): Promise<Refined> {
  const { choices, budgets, graph, onStep, settle } = options;
  let measured = 0;
  const lossesOf = (widths: Settled) => {
    measured++;
    return options.lossesOf(widths);
  };
  let widths = start;
  let losses = await lossesOf(start);
  const before = mean(losses);
  for (let step = 0; step < MOST_STEPS && settle?.aborted !== true; step++) {
    const changes: Change[] = [];
    for (const { id, to } of neighbours(widths, choices)) {
      const changed = await lossesOf(new Map(widths).set(id, to));
      changes.push({ id, to, difference: compare(changed, losses).difference });
    }
    const fits = (move: readonly Change[]) => excessOf(after(widths, move), choices, budgets, graph) === 0;
    const moves = promising(changes, fits).slice(0, MEASURED_MOVES);
    let best: { readonly widths: Settled; readonly losses: readonly number[] } | null = null;
    for (const move of moves) {
      const at = after(widths, move);
      const found = { widths: at, losses: await lossesOf(at) };
      const { difference, error } = compare(found.losses, losses);
      if (difference < -CERTAIN * error && (best === null || mean(found.losses) < mean(best.losses))) best = found;
    }
    if (best === null) break;
    ({ widths, losses } = best);
    onStep?.(widths, mean(losses));
  }
  return { widths, before, after: mean(losses), measured };
}

/** One candidate larger and one smaller, for each width. */
function neighbours(widths: Settled, choices: Choices): { id: WidthId; to: number }[] {
  return [...widths].flatMap(([id, at]) =>
    [at - 1, at + 1].filter((to) => choices.get(id)!.channels[to] !== undefined).map((to) => ({ id, to })),
  );
}

/** Moves of changes to different widths that keep to the budgets and seem to lower the loss, the best ones first. */
function promising(changes: readonly Change[], fits: (move: readonly Change[]) => boolean): (readonly Change[])[] {
  const moves: { readonly move: readonly Change[]; readonly sum: number }[] = [];
  const extend = (move: readonly Change[], from: number, sum: number) => {
    if (move.length > 0 && sum < 0 && fits(move)) moves.push({ move, sum });
    if (move.length === MOST_CHANGES) return;
    for (const [i, change] of changes.entries())
      if (i >= from && move.every(({ id }) => id !== change.id))
        extend([...move, change], i + 1, sum + change.difference);
  };
  extend([], 0, 0);
  return moves.sort((a, b) => a.sum - b.sum).map(({ move }) => move);
}

function after(widths: Settled, move: readonly Change[]): Settled {
  return new Map([...widths, ...move.map(({ id, to }) => [id, to] as const)]);
}

/** Of two networks on the same batches: mean difference of their losses, and its standard error. */
function compare(losses: readonly number[], others: readonly number[]): { difference: number; error: number } {
  const differences = losses.map((loss, i) => loss - others[i]!);
  const difference = mean(differences);
  const squares = differences.reduce((sum, value) => sum + (value - difference) ** 2, 0);
  const freedom = Math.max(differences.length - 1, 1);
  return { difference, error: Math.sqrt(squares / freedom / differences.length) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
