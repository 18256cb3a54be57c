import { html, type Markup } from '../markup.js';
import { type Axis, coordinate, linearAxis, logAxis } from './axis.js';
import { type Box, placeLabels } from './place-labels.js';
import { type Dimension, grid, HEIGHT, LOG_RATIO, PLOT, TICKS, WIDTH } from './plane.js';

/** What a point stands for; decides its mark. */
export type PointKind = 'original' | 'int8' | 'result' | 'kept' | 'tried';

export interface ScatterPoint {
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly kind: PointKind;
}

export interface ScatterOptions {
  /** What the plot shows, for those who cannot see it; no text of others. */
  readonly description: string;
  readonly x: Dimension;
  readonly y: Dimension;
  readonly higherIsBetter: boolean;
  /** The values that y can have. */
  readonly yBounds: readonly [low: number, high: number];
}

/** Points in a plane, x being positive and better where it is less. A line joins the kept ones that are best in this plane. */
export function scatter(
  points: readonly ScatterPoint[],
  { description, x, y, yBounds, higherIsBetter }: ScatterOptions,
): Markup {
  const xAxis = axisOfX(
    withLimit(
      points.map((point) => point.x),
      x.limit,
    ),
  );
  const yAxis = axisOfY(
    withLimit(
      points.map((point) => point.y),
      y.limit,
    ),
    yBounds,
  );
  const placed = points.map((point) => ({
    ...point,
    cx: coordinate(xAxis.at(point.x)),
    cy: coordinate(yAxis.at(point.y)),
  }));
  const line = front(
    placed.filter(({ kind }) => kind === 'kept'),
    higherIsBetter,
  );
  const limits = limitLines(xAxis, yAxis, x.limit, y.limit);
  const words = limits.map(({ word }) => word);
  const labels = placeLabels(inOrderOfWeight(placed), PLOT, words);
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">
${grid(xAxis, yAxis, x, y)}${limits.map(({ drawing }) => drawing)}
${line.length > 1 && html`<polyline class="front" points="${line.map(({ cx, cy }) => `${cx},${cy}`).join(' ')}"/>`}
${placed.map((point) => mark(point, x, y))}
${labels.map(({ text, x: left, y: baseline, anchor }) => html`<text class="name" x="${left}" y="${baseline}" text-anchor="${anchor}">${text}</text>`)}
</svg>`;
}

/** The points that no other one beats in both directions, from left to right. */
function front(points: readonly PlacedPoint[], higherIsBetter: boolean): PlacedPoint[] {
  const sign = higherIsBetter ? 1 : -1;
  const ordered = [...points].sort((a, b) => a.x - b.x || sign * (b.y - a.y));
  let best = Number.NEGATIVE_INFINITY;
  return ordered.filter(({ y }) => {
    const isBetter = sign * y > best;
    if (isBetter) best = sign * y;
    return isBetter;
  });
}

/** The values, and the limit unless that is so far away that the points would become hard to tell apart. */
function withLimit(values: readonly number[], limit: number | undefined): readonly number[] {
  if (limit === undefined) return values;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return limit >= 2 * low - high && limit <= 2 * high - low ? [...values, limit] : values;
}

function axisOfX(values: readonly number[]): Axis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = { from: PLOT.left, to: PLOT.right };
  if (low > 0 && high / low > LOG_RATIO) {
    const margin = (high / low) ** 0.07;
    return logAxis(low / margin, high * margin, span);
  }
  const margin = (high - low || high || 1) * 0.1;
  return linearAxis(Math.max(0, low - margin), high + margin, span, TICKS);
}

function axisOfY(values: readonly number[], [lowest, highest]: readonly [number, number]): Axis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * 0.1;
  const span = { from: PLOT.bottom, to: PLOT.top };
  const { at, ticks } = linearAxis(low - margin, high + margin, span, TICKS);
  return { at, ticks: ticks.filter((tick) => tick >= lowest && tick <= highest) };
}

/** A limit as a line, and where the word beside it lies. */
interface LimitLine {
  readonly drawing: Markup;
  readonly word: Box;
}

const WORD = { width: 26, height: 13 };

/** Limits that lie outside of what is drawn have no line. */
function limitLines(xAxis: Axis, yAxis: Axis, xLimit: number | undefined, yLimit: number | undefined): LimitLine[] {
  const { left, right, top, bottom } = PLOT;
  const lines: LimitLine[] = [];
  const x = coordinate(xAxis.at(xLimit ?? Number.NaN));
  if (x >= left && x <= right) {
    const drawing = html`<path class="limit" d="M${x} ${top}V${bottom}"/><text class="gate" x="${x + 4}" y="${top + 11}">gate</text>`;
    lines.push({ drawing, word: { left: x, right: x + 4 + WORD.width, top, bottom: top + WORD.height } });
  }
  const y = coordinate(yAxis.at(yLimit ?? Number.NaN));
  if (y >= top && y <= bottom) {
    const drawing = html`<path class="limit" d="M${left} ${y}H${right}"/><text class="gate" x="${right}" y="${y + 13}" text-anchor="end">gate</text>`;
    lines.push({ drawing, word: { left: right - WORD.width, right, top: y, bottom: y + 3 + WORD.height } });
  }
  return lines;
}

interface PlacedPoint extends ScatterPoint {
  readonly cx: number;
  readonly cy: number;
}

function mark({ label, x, y, cx, cy, kind }: PlacedPoint, xOf: Dimension, yOf: Dimension): Markup {
  const title = html`<title>${label}: ${xOf.format(x)}, ${yOf.format(y)}</title>`;
  if (kind === 'int8')
    return html`<rect class="p-int8" x="${cx - 5}" y="${cy - 5}" width="10" height="10">${title}</rect>`;
  if (kind === 'result') {
    return html`<path class="p-result" d="M${cx} ${cy - 8}l8 8l-8 8l-8 -8z">${title}</path>`;
  }
  return html`<circle class="p-${kind}" cx="${cx}" cy="${cy}" r="${kind === 'tried' ? 3.5 : 5}">${title}</circle>`;
}

const WEIGHTS: readonly PointKind[] = ['result', 'original', 'int8', 'kept', 'tried'];

function inOrderOfWeight(points: readonly PlacedPoint[]): PlacedPoint[] {
  return [...points].sort((a, b) => WEIGHTS.indexOf(a.kind) - WEIGHTS.indexOf(b.kind));
}
