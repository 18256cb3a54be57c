import type { AccuracyReport, FrontierPoint, Report } from '@tritforge/contracts';
import type { Dimension } from '../charts/plane.js';
import { type ScatterPoint, scatter } from '../charts/scatter.js';
import { formatBytes, formatMetric, formatMs, formatNumber, isPercentMetric, metricName } from '../figures.js';
import { foreign, html, type Markup, type Piece } from '../markup.js';
import { capped, decimals, type LegendEntry, legend, NAME_LENGTH, type Section, table } from './section.js';

const SHOWN_POINTS = 100;
const LABEL_LENGTH = 60;

/** What the plots show upwards. */
interface Quality {
  readonly title: string;
  readonly format: (value: number) => string;
  readonly of: (point: Point) => number | null;
  readonly higherIsBetter: boolean;
  readonly bounds: readonly [low: number, high: number];
  /** The gate on accuracy. */
  readonly limit: number | undefined;
}

/** Accuracy against size and latency, of the result, of what it is compared with, and of everything that was tried. */
export const frontierSection: Section = {
  id: 'frontier',
  title: 'Frontier',
  render: (report) => {
    const points = pointsOf(report);
    if (points.length < 2) return null;
    const quality = qualityOf(report);
    return html`${quality && plots(points, quality, report)}${frontierTable(points, report.accuracy)}`;
  },
};

interface Point extends Omit<FrontierPoint, 'kept'> {
  readonly kind: ScatterPoint['kind'];
}

function pointsOf({ model, baseline, accuracy, latency, artifacts, frontier = [] }: Report): Point[] {
  const original: Point = {
    label: 'original',
    kind: 'original',
    bitsPerWeight: null,
    sizeBytes: model.sizeBytes,
    accuracy: accuracy?.original ?? null,
    drop: 0,
    latencyMs: latency?.originalMs ?? null,
  };
  const int8: Point | null = baseline && {
    label: 'int8',
    kind: 'int8',
    bitsPerWeight: null,
    sizeBytes: baseline.sizeBytes,
    accuracy: accuracy?.int8 ?? null,
    latencyMs: latency?.int8Ms ?? null,
  };
  const artifact = artifacts[0];
  const result: Point | null = artifact
    ? {
        label: 'this artifact',
        kind: 'result',
        bitsPerWeight: artifact.bitsPerWeight.quantizedLayers,
        sizeBytes: artifact.sizeBytes,
        accuracy: accuracy?.quantized ?? null,
        latencyMs: latency?.quantizedMs ?? null,
      }
    : null;
  const bySize = [...frontier].sort((a, b) => a.sizeBytes - b.sizeBytes);
  const tried = bySize.map(({ kept, label, ...figures }): Point => {
    return { ...figures, label: foreign(label, LABEL_LENGTH), kind: kept ? 'kept' : 'tried' };
  });
  return [original, int8, result, ...tried].filter((point) => point !== null);
}

function limitOf({ gates }: Report, name: string): number | undefined {
  return gates.find((gate) => gate.name === name)?.limit;
}

/** The metric where it was measured, else the drop that a search measured on calibration data. */
function qualityOf(report: Report): Quality | null {
  const { accuracy, frontier = [] } = report;
  const maxDrop = limitOf(report, 'maxAccuracyDrop');
  if (accuracy === null) {
    if (!frontier.some(({ drop }) => typeof drop === 'number')) return null;
    return {
      title: 'Drop in agreement with the original, lower is better',
      format: (value) => String(Number(value.toPrecision(4))),
      of: ({ drop }) => drop ?? null,
      higherIsBetter: false,
      bounds: [Number.NEGATIVE_INFINITY, 100],
      limit: maxDrop,
    };
  }
  const { metric, original } = accuracy;
  const isPercent = isPercentMetric(metric);
  const sign = isPercent ? -1 : 1;
  return {
    title: `${metricName(metric)}, ${isPercent ? 'higher' : 'lower'} is better`,
    format: (value) => (isPercent ? `${Number(value.toFixed(2))} %` : String(Number(value.toPrecision(4)))),
    of: ({ accuracy: value }) => value,
    higherIsBetter: isPercent,
    bounds: isPercent ? [0, 100] : [0, Number.POSITIVE_INFINITY],
    limit: maxDrop === undefined || original === null ? undefined : original + sign * maxDrop,
  };
}

function plots(points: readonly Point[], quality: Quality, report: Report): Piece {
  const { title, format, limit, higherIsBetter, bounds } = quality;
  const plot = (positionOf: (point: Point) => number | null, x: Dimension) => {
    const drawn = points.flatMap((point) => {
      const [position, value] = [positionOf(point), quality.of(point)];
      return value === null || position === null || !(position > 0) ? [] : [{ ...point, x: position, y: value }];
    });
    if (drawn.length < 2) return null;
    const description = `${title}: ${drawn.length} networks against ${x.title}; the table below has the figures`;
    return scatter(drawn, { x, y: { title, format, limit }, higherIsBetter, yBounds: bounds, description });
  };
  const size = { title: 'size of the file', format: roundBytes, limit: limitOf(report, 'maxSizeBytes') };
  const bySize = plot(({ sizeBytes }) => sizeBytes, size);
  const byLatency = plot(({ latencyMs }) => latencyMs, { title: 'latency', format: roundMs });
  return bySize && html`<div class="plots">${bySize}${byLatency}</div>${legend(entriesOf(points))}`;
}

const KIND_NAMES = {
  result: 'this artifact',
  original: 'original',
  int8: 'int8 baseline',
  kept: 'kept: nothing tried is better in every respect',
  tried: 'tried',
} as const;

function entriesOf(points: readonly Point[]): LegendEntry[] {
  const kinds = (Object.keys(KIND_NAMES) as (keyof typeof KIND_NAMES)[]).filter((kind) =>
    points.some((point) => point.kind === kind),
  );
  return kinds.map((kind) => [SWATCHES[kind], KIND_NAMES[kind]]);
}

const SWATCHES: Readonly<Record<Point['kind'], Markup>> = {
  result: html`<path class="p-result" d="M7 0l7 7l-7 7l-7 -7z"/>`,
  original: html`<circle class="p-original" cx="7" cy="7" r="5"/>`,
  int8: html`<rect class="p-int8" x="2" y="2" width="10" height="10"/>`,
  kept: html`<circle class="p-kept" cx="7" cy="7" r="5"/>`,
  tried: html`<circle class="p-tried" cx="7" cy="7" r="3.5"/>`,
};

function frontierTable(points: readonly Point[], accuracy: AccuracyReport | null): Piece {
  const metric = accuracy?.metric ?? null;
  const columns = {
    drop: points.some(({ drop, kind }) => typeof drop === 'number' && kind !== 'original'),
    kept: points.some(({ kind }) => kind === 'kept' || kind === 'tried'),
    meets: points.some(({ meets }) => meets !== undefined),
  };
  const head = html`<th scope="col" class="text">Network</th><th scope="col">Bits per weight</th><th scope="col">Size</th><th scope="col">${metric ? metricName(metric) : 'Accuracy'}</th>${columns.drop && html`<th scope="col">Drop</th>`}<th scope="col">Latency</th>${columns.kept && html`<th scope="col" class="text">Kept</th>`}${columns.meets && html`<th scope="col" class="text">Within limits</th>`}`;
  const { shown, more } = capped(points, SHOWN_POINTS);
  const rows = shown.map(
    ({ label, kind, bitsPerWeight, sizeBytes, accuracy: value, drop, latencyMs, meets, fileName }) =>
      html`<tr><th scope="row"><bdi>${label}</bdi>${fileName && html`<br><small class="node">${foreign(fileName, NAME_LENGTH)}</small>`}</th><td>${formatNumber(bitsPerWeight, 2)}</td><td>${formatBytes(sizeBytes)}</td><td>${metric ? formatMetric(metric, value) : formatNumber(value, 3)}</td>${columns.drop && html`<td>${kind === 'original' ? '–' : decimals(drop, 2)}</td>`}<td>${formatMs(latencyMs)}</td>${columns.kept && html`<td class="text">${kind === 'kept' ? 'kept' : kind === 'tried' ? 'no' : ''}</td>`}${columns.meets && html`<td class="text">${meets === undefined ? '' : meets ? 'yes' : 'no'}</td>`}</tr>\n`,
  );
  return html`${table('Networks in the plot', head, rows)}${more && html`<p class="note">${more}</p>`}`;
}

function roundBytes(sizeBytes: number): string {
  return formatBytes(sizeBytes).replace('.0 ', ' ');
}

function roundMs(ms: number): string {
  return ms < 1 ? `${Number((ms * 1000).toPrecision(3))} µs` : `${Number(ms.toPrecision(3))} ms`;
}
