import type { NceReport } from '@tritforge/contracts';
import { html, type Markup } from '../markup.js';
import { type Axis, coordinate, linearAxis } from './axis.js';
import { curveLine, epochAxis } from './epoch-curve.js';
import { type Dimension, grid, HEIGHT, PLOT, TICKS, WIDTH } from './plane.js';

type Point = Pick<NceReport['course'][number], 'epoch' | 'macs' | 'parameters'>;

/** More points than pixels tell nothing. */
const MOST_POINTS = 500;
const X: Dimension = { title: 'epoch', format: String };
const Y: Dimension = { title: 'share of the limit', format: (share) => `${Number((100 * share).toFixed(1))} %` };

/**
 * What the likeliest widths of each epoch would cost, as shares of what they may, with the limit as a line across.
 * @param course shares are finite, and there are two points or more
 * @param description what the plot shows, for those who cannot see it; no text of others
 */
export function costCurve(course: readonly Point[], description: string): Markup {
  const stride = Math.ceil(course.length / MOST_POINTS);
  const shown = course.filter((_, index) => index % stride === 0 || index === course.length - 1);
  const xAxis = epochAxis(course[0]!.epoch, course.at(-1)!.epoch);
  const yAxis = shareAxis(shown.flatMap(({ macs, parameters }) => [macs, parameters]));
  const places = (shareOf: (point: Point) => number) =>
    shown.map((point) => ({ x: coordinate(xAxis.at(point.epoch)), y: coordinate(yAxis.at(shareOf(point))) }));
  const [macs, parameters] = [places((point) => point.macs), places((point) => point.parameters)];
  const ends = [macs, parameters].map((curve) => curve.at(-1)!.y);
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">
${grid(xAxis, yAxis, X, Y)}
${limitLine(coordinate(yAxis.at(1)), ends)}
${curveLine('l-parameters', parameters)}${curveLine('l-macs', macs)}
</svg>`;
}

/** The limit is always on it. */
function shareAxis(shares: readonly number[]): Axis {
  const [low, high] = [Math.min(1, ...shares), Math.max(1, ...shares)];
  const margin = (high - low || 1) * 0.1;
  return linearAxis(Math.max(0, low - margin), high + margin, { from: PLOT.bottom, to: PLOT.top }, TICKS);
}

/** The word stands above the line unless that is where the curves end. */
function limitLine(y: number, ends: readonly number[]): Markup {
  const { left, right } = PLOT;
  const baseline = ends.some((end) => end < y) ? y + 13 : y - 5;
  return html`<path class="limit" d="M${left} ${y}H${right}"/><text class="gate" x="${right}" y="${baseline}" text-anchor="end">limit</text>`;
}
