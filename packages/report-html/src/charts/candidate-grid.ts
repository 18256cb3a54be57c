import type { NceReport } from '@tritforge/contracts';
import type { Width } from '../width-change.js';

type Epoch = NceReport['course'][number];

/** Candidates of a width that share a row, which few do: those from a number of channels to another one. */
export interface CandidateRow {
  readonly from: number;
  readonly to: number;
  /** How likely one of them was, by column; null before any of them joined. */
  readonly shares: readonly (number | null)[];
}

/** More rows could not be told apart. */
const MOST_ROWS = 24;
const COLUMNS = { fewest: 10, most: 60 };
/** Of all grids of a page together. */
const MOST_CELLS = 24_000;

/**
 * The epochs to show of a search: all of them, or as many as there are cells for at equal distances, the first and the last among them.
 * @param gridCount grids that share the cells of a page
 */
export function shownEpochs(course: readonly Epoch[], gridCount: number): readonly Epoch[] {
  const affordable = Math.floor(MOST_CELLS / (MOST_ROWS * Math.max(1, gridCount)));
  const count = Math.min(course.length, COLUMNS.most, Math.max(COLUMNS.fewest, affordable));
  if (count === course.length) return course;
  return Array.from(
    { length: count },
    (_, column) => course[Math.round((column * (course.length - 1)) / (count - 1))]!,
  );
}

/**
 * The candidates of a width over epochs, ascending. What the width was and became have rows even where they were no candidates.
 * @param position of the width in `widths`
 */
export function candidateGrid(epochs: readonly Epoch[], position: number, width: Width): CandidateRow[] {
  const columns = epochs.map(({ choices }) => sharesOf(choices[position]));
  const known = new Set([width.original, width.result, ...columns.flatMap((shares) => [...shares.keys()])]);
  const channels = [...known].sort((a, b) => a - b);
  const perRow = Math.ceil(channels.length / MOST_ROWS);
  return Array.from({ length: Math.ceil(channels.length / perRow) }, (_, row) => {
    const own = channels.slice(row * perRow, (row + 1) * perRow);
    return { from: own[0]!, to: own.at(-1)!, shares: columns.map((shares) => sumOf(own, shares)) };
  });
}

/** By number of channels; what is no number, as after a loss that was none, is as if it were not there. */
function sharesOf(choice: Epoch['choices'][number] | undefined): Map<number, number> {
  const shares = new Map<number, number>();
  choice?.channels.forEach((channels, at) => {
    const share = choice.probabilities[at];
    if (Number.isFinite(share)) shares.set(channels, share!);
  });
  return shares;
}

function sumOf(channels: readonly number[], shares: ReadonlyMap<number, number>): number | null {
  const present = channels.filter((count) => shares.has(count));
  return present.length === 0 ? null : present.reduce((sum, count) => sum + shares.get(count)!, 0);
}
