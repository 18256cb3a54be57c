import { html, type Markup } from '../markup.js';
import { type Axis, coordinate } from './axis.js';

/** One direction of a plot. */
export interface Dimension {
  readonly title: string;
  readonly format: (value: number) => string;
  /** A bound that was asked for, drawn as a line. */
  readonly limit?: number | undefined;
}

/** Size of a plot, and where in it its plane lies. */
export const WIDTH = 560;
export const HEIGHT = 330;
export const PLOT = { left: 62, right: WIDTH - 14, top: 14, bottom: HEIGHT - 46 };
/** Ratio of the ends from which an axis is logarithmic. */
export const LOG_RATIO = 3;
export const TICKS = 5;

/** The axes of a plane, their titles, and a line for every tick. */
export function grid(xAxis: Axis, yAxis: Axis, x: Dimension, y: Dimension): Markup {
  const { left, right, top, bottom } = PLOT;
  const rows = yAxis.ticks.map((tick) => {
    const at = coordinate(yAxis.at(tick));
    return html`<path class="grid" d="M${left} ${at}H${right}"/><text x="${left - 8}" y="${at + 4}" text-anchor="end">${y.format(tick)}</text>`;
  });
  const columns = xAxis.ticks.map((tick) => {
    const at = coordinate(xAxis.at(tick));
    return html`<path class="grid" d="M${at} ${top}V${bottom}"/><text x="${at}" y="${bottom + 18}" text-anchor="middle">${x.format(tick)}</text>`;
  });
  return html`${rows}${columns}<path class="axis" d="M${left} ${top}V${bottom}H${right}"/>
<text class="title" x="${(left + right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${x.title}</text>
<text class="title" transform="translate(13 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${y.title}</text>`;
}
