import type { LayerReport } from '@tritforge/contracts';
import { foreign, html, type Markup, type Piece } from '../markup.js';
import { layerPrecision, precisionClass } from '../precision.js';
import { type Axis, coordinate, linearAxis } from './axis.js';

/** One row of bars. */
export interface BarPanel {
  readonly title: string;
  /** Null draws nothing. Beyond the ends of the panel bars are cut off. */
  readonly figureOf: (layer: LayerReport) => number | null | undefined;
  readonly format: (value: number) => string;
  readonly ends: readonly [low: number, high: number];
}

const WIDTH = 960;
const LEFT = 48;
const RIGHT = WIDTH - 18;
const PANEL_HEIGHT = 96;
const PANEL_PITCH = 148;
const FIRST_TOP = 24;
const WIDEST_BAR = 34;
/** Least distance of two layer numbers, and how many layers may lie between them. */
const LABEL_PITCH = 32;
const LABEL_STEPS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
/** With more layers than this a column stands for several, of which it shows the noisiest. */
const MAX_COLUMNS = 1200;

interface Column {
  readonly number: number;
  readonly layer: LayerReport;
}

/**
 * Rows of bars over a common axis of layers, in the order of the model, coloured by precision.
 * @param description what the chart shows, for those who cannot see it; no text of others
 */
export function layerBars(layers: readonly LayerReport[], panels: readonly BarPanel[], description: string): Markup {
  const columns = columnsOf(layers);
  const pitch = (RIGHT - LEFT) / columns.length;
  const height = FIRST_TOP + panels.length * PANEL_PITCH - 26;
  const drawn = panels.map((panel, row) => {
    const top = FIRST_TOP + row * PANEL_PITCH;
    const axis = linearAxis(...panel.ends, { from: top + PANEL_HEIGHT, to: top }, 5);
    return html`${frame(panel, axis, top)}${bars(columns, panel, axis, pitch)}${numbers(layers.length, top + PANEL_HEIGHT)}`;
  });
  return html`<svg class="bars" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${description}">
${drawn}
${columns.map((column, index) => hoverArea(column, panels, coordinate(LEFT + index * pitch), coordinate(pitch), height))}
</svg>`;
}

function columnsOf(layers: readonly LayerReport[]): Column[] {
  const perColumn = Math.ceil(layers.length / MAX_COLUMNS);
  const numbered = layers.map((layer, index) => ({ number: index + 1, layer }));
  const columns: Column[] = [];
  for (let start = 0; start < numbered.length; start += perColumn) {
    columns.push(
      numbered.slice(start, start + perColumn).reduce((worst, next) => (noisier(next, worst) ? next : worst)),
    );
  }
  return columns;
}

function noisier(a: Column, b: Column): boolean {
  return (a.layer.outputSqnrDb ?? Number.POSITIVE_INFINITY) < (b.layer.outputSqnrDb ?? Number.POSITIVE_INFINITY);
}

function frame({ title, format }: BarPanel, axis: Axis, top: number): Markup {
  const lines = axis.ticks.map((tick) => {
    const at = coordinate(axis.at(tick));
    return html`<path class="${tick === 0 ? 'axis' : 'grid'}" d="M${LEFT} ${at}H${RIGHT}"/><text x="${LEFT - 6}" y="${at + 4}" text-anchor="end">${format(tick)}</text>`;
  });
  return html`<text class="title" x="0" y="${top - 10}">${title}</text>${lines}`;
}

/** One path per colour, so that a thousand bars are a few elements. */
function bars(columns: readonly Column[], { figureOf, ends: [low, high] }: BarPanel, axis: Axis, pitch: number): Piece {
  const paths = new Map<string, string>();
  const width = Math.min(WIDEST_BAR, pitch > 3 ? pitch * 0.76 : pitch);
  const zero = coordinate(axis.at(Math.max(low, 0)));
  for (const [index, { layer }] of columns.entries()) {
    const value = figureOf(layer);
    if (value === null || value === undefined) continue;
    const left = coordinate(LEFT + (index + 0.5) * pitch - width / 2);
    const end = coordinate(axis.at(Math.min(high, Math.max(low, value))));
    const key = precisionClass(layer.applied);
    paths.set(key, `${paths.get(key) ?? ''}M${left} ${zero}V${end}h${coordinate(width)}V${zero}z`);
  }
  return [...paths].map(([key, path]) => html`<path class="${key}" d="${path}"/>`);
}

function numbers(layerCount: number, bottom: number): Piece {
  const pitch = (RIGHT - LEFT) / layerCount;
  const step = LABEL_STEPS.find((candidate) => candidate * pitch >= LABEL_PITCH) ?? layerCount;
  const labelled = [1, ...Array.from({ length: Math.floor(layerCount / step) }, (_, index) => (index + 1) * step)];
  return [...new Set(labelled)].map((number) => {
    const x = coordinate(LEFT + (number - 0.5) * pitch);
    return html`<text x="${x}" y="${bottom + 16}" text-anchor="middle">${number}</text>`;
  });
}

function hoverArea(
  { number, layer }: Column,
  panels: readonly BarPanel[],
  x: number,
  width: number,
  height: number,
): Markup {
  const figures = panels.map(({ title, figureOf, format }) => {
    const value = figureOf(layer);
    return value === null || value === undefined ? '' : `\n${title}: ${format(value)}`;
  });
  return html`<rect class="hover" x="${x}" y="0" width="${width}" height="${height}"><title>${number} ${foreign(layer.node, 80)}
${layerPrecision(layer.applied)}${figures}</title></rect>`;
}
