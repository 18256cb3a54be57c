import { formatCount } from '../figures.js';
import { html, type Markup } from '../markup.js';
import type { Width } from '../width-change.js';
import { coordinate } from './axis.js';
import type { CandidateRow } from './candidate-grid.js';

const WIDTH = 300;
const MAP = { left: 42, right: 284, top: 2, bottom: 130 };
const HEIGHT = 148;
/** Where marks beside the map lie. */
const MARKS_AT = MAP.right + 8;
const LABEL_HEIGHT = 11;
/** Shades that are told apart; those of all maps stand for the same probabilities. */
const SHADES = 12;
const FAINTEST = 0.07;

export interface CandidateMapOptions {
  readonly width: Width;
  /** Of the columns. */
  readonly epochs: readonly number[];
  /** The probability of the darkest shade. */
  readonly darkest: number;
  /** What the map shows, for those who cannot see it; no text of others. */
  readonly description: string;
}

/** How likely the candidates of a width were, epoch by epoch: rows are candidates, upwards, and beside them stands what came out. */
export function candidateMap(rows: readonly CandidateRow[], options: CandidateMapOptions): Markup {
  const { width, epochs, darkest, description } = options;
  const { left, right, bottom } = MAP;
  const isSeveral = epochs.length > 1;
  return html`<svg class="histogram" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">
${shadedCells(rows, epochs.length, darkest)}
<path class="axis" d="M${left} ${bottom}H${right}"/>
${labels(rows, width)}${marks(rows, width)}
<text x="${left}" y="${bottom + 14}">epoch ${epochs[0]}</text>${isSeveral && html`<text x="${right}" y="${bottom + 14}" text-anchor="end">${epochs.at(-1)}</text>`}
</svg>`;
}

/** A shade as an opacity; cells of the faintest show that there is a candidate. */
export function shadeOpacity(share: number): number {
  return Math.round(100 * (FAINTEST + (1 - FAINTEST) * share)) / 100;
}

/** One path for a shade, neighbours in a row as one piece, so that thousands of cells are a few elements. */
function shadedCells(rows: readonly CandidateRow[], columnCount: number, darkest: number): Markup[] {
  const shadeOf = (share: number | null) => (share === null ? null : shade(share, darkest));
  const xOf = (column: number) => coordinate(MAP.left + (column * (MAP.right - MAP.left)) / columnCount);
  const paths = new Map<number, string>();
  for (const [row, { shares }] of rows.entries()) {
    const [top, bottom] = [topOf(row + 1, rows.length), topOf(row, rows.length)];
    for (let start = 0, end = 1; start < columnCount; start = end, end++) {
      const level = shadeOf(shares[start]!);
      while (end < columnCount && shadeOf(shares[end]!) === level) end++;
      if (level === null) continue;
      paths.set(level, `${paths.get(level) ?? ''}M${xOf(start)} ${top}H${xOf(end)}V${bottom}H${xOf(start)}z`);
    }
  }
  return [...paths].map(
    ([level, path]) => html`<path class="heat" fill-opacity="${shadeOpacity(level / SHADES)}" d="${path}"/>`,
  );
}

function shade(share: number, darkest: number): number {
  return Math.min(SHADES, Math.max(0, Math.round((SHADES * share) / darkest)));
}

/** The upper end of so many rows. */
function topOf(rowCount: number, of: number): number {
  return coordinate(MAP.bottom - (rowCount * (MAP.bottom - MAP.top)) / of);
}

function middleOf(channels: number, rows: readonly CandidateRow[]): number {
  const row = rows.findIndex(({ to }) => channels <= to);
  return coordinate((topOf(row, rows.length) + topOf(row + 1, rows.length)) / 2);
}

/** What the width became, what it was, the most and the fewest, as far as there is room. */
function labels(rows: readonly CandidateRow[], { original, result }: Width): Markup[] {
  const placed: { readonly channels: number; readonly y: number }[] = [];
  for (const channels of [result, original, rows.at(-1)!.to, rows[0]!.from]) {
    const y = middleOf(channels, rows);
    if (placed.every((other) => Math.abs(other.y - y) >= LABEL_HEIGHT)) placed.push({ channels, y });
  }
  return placed.map(
    ({ channels, y }) =>
      html`<text${channels === result && html` class="name"`} x="${MAP.left - 5}" y="${coordinate(y + 4)}" text-anchor="end">${formatCount(channels)}</text>`,
  );
}

function marks(rows: readonly CandidateRow[], { original, result }: Width): Markup {
  const [before, after] = [middleOf(original, rows), middleOf(result, rows)];
  return html`${before !== after && html`<circle class="p-original" cx="${MARKS_AT}" cy="${before}" r="3.5"/>`}<path class="p-result" d="M${MARKS_AT} ${after - 5}l5 5l-5 5l-5 -5z"/>`;
}
