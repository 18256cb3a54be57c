import type { AccuracyReport, LatencyReport, Report } from '@tritforge/contracts';
import { formatBytes, formatCount, formatMetric, formatMs, formatNumber, formatShare, metricName } from '../figures.js';
import { html, type Markup, type Piece } from '../markup.js';
import { type Section, table } from './section.js';

/** What it came to: four figures, then the comparison with the original and with int8. */
export const summarySection: Section = {
  id: 'summary',
  title: 'Summary',
  render: (report) => html`${tiles(report)}${comparison(report)}`,
};

function tiles({ model, artifacts, accuracy, latency }: Report): Markup {
  const artifact = artifacts[0];
  return html`<dl class="tiles">
${artifact && tile('Size', formatBytes(artifact.sizeBytes), `${timesSmaller(model.sizeBytes, artifact.sizeBytes)} than ${formatBytes(model.sizeBytes)}`)}
${artifact && bitsTile(artifact.bitsPerWeight)}
${accuracy ? accuracyTile(accuracy) : tile('Accuracy', '–', 'not measured: no evaluation data')}
${latency ? tile('Latency', formatMs(latency.quantizedMs), `${timesAsFast(latency.originalMs, latency.quantizedMs)} as ${formatMs(latency.originalMs)}`) : tile('Latency', '–', 'not measured')}
</dl>`;
}

function tile(name: string, figure: string, remark: string): Markup {
  return html`<div><dt>${name}</dt><dd><strong>${figure}</strong> <span>${remark}</span></dd></div>`;
}

function bitsTile({ quantizedLayers, wholeModel }: Report['artifacts'][number]['bitsPerWeight']): Markup {
  const whole = `${formatNumber(wholeModel, 2)} over the whole file`;
  return quantizedLayers === null
    ? tile('Bits per weight', formatNumber(wholeModel, 2), 'over the whole file')
    : tile('Bits per weight', formatNumber(quantizedLayers, 2), `in quantized layers, ${whole}`);
}

function accuracyTile({ metric, quantized, original, drop, pairedStandardError }: AccuracyReport): Markup {
  const than = original === null ? '' : ` than ${formatMetric(metric, original)}`;
  const remark = drop === null ? 'nothing to compare with' : `${dropText(drop, pairedStandardError)}${than}`;
  return tile(metricName(metric), formatMetric(metric, quantized), remark);
}

function comparison(report: Report): Markup {
  const hasBaseline = report.baseline !== null;
  const head = html`<td></td><th scope="col">Original</th>${hasBaseline && html`<th scope="col">int8</th>`}<th scope="col">Result</th><th scope="col" class="text">Change</th>`;
  const row: Row = (name, original, int8, result, change) =>
    html`<tr><th scope="row">${name}</th><td>${original}</td>${hasBaseline && html`<td>${int8}</td>`}<td><strong>${result}</strong></td><td class="text">${change}</td></tr>\n`;
  const rows = [...sizeRows(report, row), ...accuracyRows(report.accuracy, row), ...latencyRows(report.latency, row)];
  const { parameters, nodes, opset, macs } = report.model;
  const compute = macs === null ? '' : `, ${formatCount(macs)} multiply-accumulates per sample`;
  return html`${table('Original, int8 baseline and result', head, rows, 'comparison')}
<p class="note">The original has ${formatCount(parameters)} parameters in ${formatCount(nodes)} nodes of opset ${opset}${compute}.
${report.latency && `Latencies are medians of ${formatCount(report.latency.runs)} interleaved runs at batch ${report.latency.batch} on ${threads(report.latency)} of ${report.latency.cpu.trim()}.`}</p>`;
}

type Row = (name: Piece, original: Piece, int8: Piece, result: Piece, change: Piece) => Markup;

function sizeRows({ model, baseline, artifacts }: Report, row: Row): Markup[] {
  const artifact = artifacts[0];
  if (artifact === undefined) return [];
  const perParameter = (sizeBytes: number) => ((8 * sizeBytes) / Math.max(1, model.parameters)).toFixed(2);
  return [
    row(
      'Size',
      formatBytes(model.sizeBytes),
      baseline && formatBytes(baseline.sizeBytes),
      formatBytes(artifact.sizeBytes),
      timesSmaller(model.sizeBytes, artifact.sizeBytes),
    ),
    row(
      'Bits per parameter',
      perParameter(model.sizeBytes),
      baseline && perParameter(baseline.sizeBytes),
      formatNumber(artifact.bitsPerWeight.wholeModel, 2),
      'everything in the file counted',
    ),
  ];
}

function accuracyRows(accuracy: AccuracyReport | null, row: Row): Markup[] {
  if (accuracy === null) return [];
  const { metric, samples, original, int8, quantized, drop, pairedStandardError, agreement } = accuracy;
  const format = (value: number | null) => formatMetric(metric, value);
  const change = drop === null ? '' : dropText(drop, pairedStandardError);
  const name = `${metricName(metric)}, ${formatCount(samples)} samples`;
  const rows = [row(name, format(original), format(int8), format(quantized), change)];
  if (agreement === null || metric === 'agreement') return rows;
  return [...rows, row('Same top class as the original', '', '', formatMetric('agreement', agreement), '')];
}

function latencyRows(latency: LatencyReport | null, row: Row): Markup[] {
  if (latency === null) return [];
  const { originalMs, int8Ms, quantizedMs, acceleratedMs, acceleratedEngine } = latency;
  const stock = row(
    'Latency, stock ONNX Runtime',
    formatMs(originalMs),
    formatMs(int8Ms),
    formatMs(quantizedMs),
    timesAsFast(originalMs, quantizedMs),
  );
  // Older reports lack the second measurement.
  if (acceleratedMs === null || acceleratedMs === undefined) return [stock];
  const engine = acceleratedEngine
    ? html`${timesAsFast(originalMs, acceleratedMs)}<br><small>${acceleratedEngine}</small>`
    : timesAsFast(originalMs, acceleratedMs);
  return [stock, row('Latency, with Tritforge’s operators', '', '', formatMs(acceleratedMs), engine)];
}

function timesSmaller(beforeBytes: number, afterBytes: number): string {
  return afterBytes <= beforeBytes
    ? `${(beforeBytes / afterBytes).toFixed(1)}× smaller`
    : `${formatShare(afterBytes / beforeBytes - 1)} larger`;
}

function timesAsFast(originalMs: number, ms: number): string {
  return `${(originalMs / ms).toFixed(2)}× as fast`;
}

/** A drop is positive where the result is worse. */
function dropText(drop: number, pairedStandardError: number | null): string {
  const uncertainty = pairedStandardError === null ? '' : ` ± ${pairedStandardError.toFixed(2)}`;
  return drop < 0 ? `${(-drop).toFixed(2)}${uncertainty} better` : `${drop.toFixed(2)}${uncertainty} worse`;
}

function threads({ threads: count }: LatencyReport): string {
  return count === 1 ? 'one thread' : `${count} threads`;
}
