import type { AccuracyReport, FrontierPoint, Report } from '@tritforge/contracts';
import { type ScatterPoint, scatter } from '../charts/scatter.js';
import { formatBytes, formatMetric, formatMs, formatNumber, isPercentMetric, metricName } from '../figures.js';
import { foreign, html, type Markup, type Piece } from '../markup.js';
import { capped, type Section, table } from './section.js';

const SHOWN_POINTS = 100;
const LABEL_LENGTH = 60;

/** Accuracy against size and latency, of the result, of what it is compared with, and of everything that was tried. */
export const frontierSection: Section = {
  id: 'frontier',
  title: 'Frontier',
  render: (report) => {
    const points = pointsOf(report);
    const { accuracy } = report;
    if (points.length < 2) return null;
    return html`${accuracy && plots(points, accuracy, report)}${frontierTable(points, accuracy)}`;
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

function plots(points: readonly Point[], accuracy: AccuracyReport, { gates }: Report): Markup | null {
  const { metric, original } = accuracy;
  const isPercent = isPercentMetric(metric);
  const limitOf = (name: string) => gates.find((gate) => gate.name === name)?.limit;
  const maxDrop = limitOf('maxAccuracyDrop');
  const y = {
    title: `${metricName(metric)}, ${isPercent ? 'higher' : 'lower'} is better`,
    format: (value: number) => (isPercent ? `${Number(value.toFixed(2))} %` : String(Number(value.toPrecision(4)))),
    limit: maxDrop === undefined || original === null ? undefined : isPercent ? original - maxDrop : original + maxDrop,
  };
  const x = { title: 'size of the file', format: roundBytes, limit: limitOf('maxSizeBytes') };
  const plot = (dimension: 'sizeBytes' | 'latencyMs', options: { x: typeof x | Omit<typeof x, 'limit'> }) => {
    const drawn = points.flatMap(({ label, kind, accuracy: value, [dimension]: position }) =>
      value === null || position === null || !(position > 0) ? [] : [{ label, kind, x: position, y: value }],
    );
    if (drawn.length < 2) return null;
    const description = `${metricName(metric)} of ${drawn.length} networks against ${options.x.title}; the table below has the figures`;
    return scatter(drawn, {
      ...options,
      y,
      higherIsBetter: isPercent,
      yBounds: isPercent ? [0, 100] : [0, Number.MAX_VALUE],
      description,
    });
  };
  const bySize = plot('sizeBytes', { x });
  const byLatency = plot('latencyMs', { x: { title: 'latency in stock ONNX Runtime', format: roundMs } });
  return bySize && html`<div class="plots">${bySize}${byLatency}</div>${legend(points)}`;
}

const KIND_NAMES = {
  result: 'this artifact',
  original: 'original',
  int8: 'int8 baseline',
  kept: 'kept: nothing tried is better in every respect',
  tried: 'tried',
} as const;

function legend(points: readonly Point[]): Markup {
  const kinds = (Object.keys(KIND_NAMES) as (keyof typeof KIND_NAMES)[]).filter((kind) =>
    points.some((point) => point.kind === kind),
  );
  return html`<ul class="legend">${kinds.map((kind) => html`<li><svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">${SWATCHES[kind]}</svg>${KIND_NAMES[kind]}</li>`)}</ul>`;
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
  const hasTried = points.some(({ kind }) => kind === 'kept' || kind === 'tried');
  const head = html`<th scope="col" class="text">Network</th><th scope="col">Bits per weight</th><th scope="col">Size</th><th scope="col">${metric ? metricName(metric) : 'Accuracy'}</th><th scope="col">Latency</th>${hasTried && html`<th scope="col" class="text">Kept</th>`}`;
  const { shown, more } = capped(points, SHOWN_POINTS);
  const rows = shown.map(
    ({ label, kind, bitsPerWeight, sizeBytes, accuracy: value, latencyMs }) =>
      html`<tr><th scope="row"><bdi>${label}</bdi></th><td>${formatNumber(bitsPerWeight, 2)}</td><td>${formatBytes(sizeBytes)}</td><td>${metric ? formatMetric(metric, value) : formatNumber(value, 3)}</td><td>${formatMs(latencyMs)}</td>${hasTried && html`<td class="text">${kind === 'kept' ? 'kept' : kind === 'tried' ? 'no' : ''}</td>`}</tr>\n`,
  );
  return html`${table('Networks in the plot', head, rows)}${more && html`<p class="note">${more}</p>`}`;
}

function roundBytes(sizeBytes: number): string {
  return formatBytes(sizeBytes).replace('.0 ', ' ');
}

function roundMs(ms: number): string {
  return ms < 1 ? `${Number((ms * 1000).toPrecision(3))} µs` : `${Number(ms.toPrecision(3))} ms`;
}
