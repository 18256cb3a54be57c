import { html, type Markup } from '../markup.js';
import { type Axis, linearAxis } from './axis.js';
import { PLOT, TICKS } from './plane.js';

/** Where a point lies in the drawing. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** Of so few points each has a mark. */
const MOST_MARKS = 40;

/** A line through points, which have marks where there are few. */
export function curveLine(className: string, places: readonly Place[]): Markup {
  const marks = places.length > MOST_MARKS ? [] : places;
  return html`<polyline class="${className}" points="${places.map(({ x, y }) => `${x},${y}`).join(' ')}"/>
${marks.map(({ x, y }) => html`<circle class="${className}" cx="${x}" cy="${y}" r="2.5"/>`)}`;
}

/** The axis of epochs, with ticks at whole ones. */
export function epochAxis(first: number, last: number): Axis {
  const { at, ticks } = linearAxis(first, Math.max(first + 1, last), { from: PLOT.left, to: PLOT.right - 8 }, TICKS);
  return { at, ticks: ticks.filter(Number.isInteger) };
}
