import type { FineTuneReport, LayerReport, Report } from '@tritforge/contracts';
import { formatBytes, formatMetric, formatMs, formatNumber } from '@tritforge/report-html/figures';
import { channelsLine } from './channels-line.js';
import { formatDuration } from './duration.js';
import { formatTable } from './table.js';

/**
 * A report in words: a table that compares original, int8 baseline and result, then layers, the training, the search for
 * channels, the networks that a search measured, files, what is recommended, gates, warnings.
 * @param title what the result is called, such as `fgq N=64`
 */
export function describeReport(report: Report, title: string): string {
  const parts = [
    comparisonTable(report, title),
    layersLine(report),
    ...(report.fineTune ? [fineTuneLine(report.fineTune)] : []),
    ...(report.nce ? [channelsLine(report.nce)] : []),
    ...(report.frontier ? [frontierTable(report.frontier, report)] : []),
    formatTable(report.artifacts.map(artifactRow), ['left', 'right', 'left']),
    ...(report.recommendation && report.recommendation.patch.length > 0
      ? [recommendationLine(report.recommendation)]
      : []),
    ...(report.gates.length > 0 ? [formatTable(report.gates.map(gateRow), ['left', 'left', 'right', 'right'])] : []),
    ...(report.warnings.length > 0 ? [warningLines(report)] : []),
  ];
  return parts.join('\n');
}

function comparisonTable(report: Report, title: string): string {
  const hasBaseline = report.baseline !== null;
  const row = (name: string, original: string, int8: string, result: string, remark = '') => [
    name,
    original,
    ...(hasBaseline ? [int8] : []),
    result,
    remark,
  ];
  const rows = [
    row('', 'original', 'int8', title),
    sizeRow(report, row),
    bitsRow(report, row),
    ...(report.accuracy ? [accuracyRow(report.accuracy, row)] : []),
    ...(report.latency ? latencyRows(report.latency, row) : []),
  ];
  return formatTable(rows, ['left', 'right', 'right', ...(hasBaseline ? (['right'] as const) : []), 'left']);
}

type Row = (name: string, original: string, int8: string, result: string, remark?: string) => string[];

function sizeRow({ model, baseline, artifacts }: Report, row: Row): string[] {
  const sizeBytes = artifacts[0]!.sizeBytes;
  return row(
    'size',
    formatBytes(model.sizeBytes),
    baseline === null ? '–' : formatBytes(baseline.sizeBytes),
    formatBytes(sizeBytes),
    `${(model.sizeBytes / sizeBytes).toFixed(1)}× smaller`,
  );
}

function bitsRow({ model, baseline, artifacts }: Report, row: Row): string[] {
  const perParameter = (sizeBytes: number) => ((sizeBytes * 8) / Math.max(1, model.parameters)).toFixed(2);
  const { quantizedLayers, wholeModel } = artifacts[0]!.bitsPerWeight;
  return row(
    'bits per weight',
    perParameter(model.sizeBytes),
    baseline === null ? '–' : perParameter(baseline.sizeBytes),
    wholeModel.toFixed(2),
    quantizedLayers === null ? '' : `${quantizedLayers.toFixed(2)} in quantized layers`,
  );
}

function accuracyRow(accuracy: NonNullable<Report['accuracy']>, row: Row): string[] {
  const { metric, samples, drop, pairedStandardError } = accuracy;
  const uncertainty = pairedStandardError === null ? '' : ` ± ${pairedStandardError.toFixed(2)}`;
  return row(
    `${metric} (${samples} samples)`,
    formatMetric(metric, accuracy.original),
    formatMetric(metric, accuracy.int8),
    formatMetric(metric, accuracy.quantized),
    drop === null ? '' : `drop ${drop.toFixed(2)}${uncertainty}`,
  );
}

function latencyRows(latency: NonNullable<Report['latency']>, row: Row): string[][] {
  const { threads, batch, originalMs, int8Ms, quantizedMs, acceleratedMs } = latency;
  const speedup = (ms: number) => `${(originalMs / ms).toFixed(2)}× as fast`;
  const stock = row(
    `latency (${threads} thread${threads === 1 ? '' : 's'}, batch ${batch})`,
    formatMs(originalMs),
    formatMs(int8Ms),
    formatMs(quantizedMs),
    speedup(quantizedMs),
  );
  if (acceleratedMs === null) return [stock];
  return [stock, row("with Tritforge's operators", '', '', formatMs(acceleratedMs), speedup(acceleratedMs))];
}

function layersLine({ layers, kept }: Report): string {
  const count = (bits: LayerReport['applied']['bits']) => layers.filter(({ applied }) => applied.bits === bits).length;
  const uniform = layers.filter(({ applied }) => applied.bits === 2 && applied.groupSize === null).length;
  const twoPlanes = layers.filter(({ applied }) => applied.planes === 2).length;
  const inputs = (bits: 4 | 3 | 2) => layers.filter(({ applied }) => applied.activationBits === bits).length;
  const unlike = layers.filter(({ reason }) => reason !== null).length;
  const parts = [
    ...(uniform < count(2) || uniform === 0 ? [`${count(2) - uniform} ternary`] : []),
    ...(uniform > 0 ? [`${uniform} uniform`] : []),
    ...(count(4) > 0 ? [`${count(4)} int4`] : []),
    `${count(8)} int8`,
    `${count(null) + kept.length} kept in floating point`,
    ...(twoPlanes > 0 ? [`${twoPlanes} with two planes`] : []),
    ...([4, 3, 2] as const).flatMap((bits) => (inputs(bits) > 0 ? [`${inputs(bits)} with ${bits}-bit inputs`] : [])),
    ...(unlike > 0 ? [`${unlike} not as requested (see the report)`] : []),
  ];
  return `layers: ${parts.join(', ')}\n`;
}

/** What the training came to. */
function fineTuneLine({ curve, bestEpoch, seconds, samples, heldOutSamples }: FineTuneReport): string {
  const lossAt = (epoch: number) => {
    const loss = curve.find((point) => point.epoch === epoch)?.heldOutLoss;
    return loss === undefined ? '–' : String(Number(loss.toPrecision(3)));
  };
  const epochs = Math.max(0, ...curve.map(({ epoch }) => epoch));
  const gain =
    bestEpoch === 0
      ? `no epoch of ${epochs} was better than the start, whose held-out loss is ${lossAt(0)}`
      : `held-out loss ${lossAt(0)} → ${lossAt(bestEpoch)} at epoch ${bestEpoch} of ${epochs}`;
  return `fine-tuning: ${gain}; ${samples} samples, ${heldOutSamples} held out, ${formatDuration(seconds)}\n`;
}

/** The networks that were measured, small ones first. */
function frontierTable(frontier: NonNullable<Report['frontier']>, { artifacts }: Report): string {
  // Without a limit on the latency only that of the result was measured.
  const isTimed = frontier.every(({ latencyMs }) => latencyMs !== null);
  const rows = frontier.map(({ label, sizeBytes, bitsPerWeight, latencyMs, drop, meets, fileName, kept }) => [
    fileName === artifacts[0]!.fileName ? `* ${label}` : `  ${label}`,
    formatBytes(sizeBytes),
    `${formatNumber(bitsPerWeight, 2)} bits`,
    ...(isTimed ? [formatMs(latencyMs)] : []),
    `drop ${formatNumber(drop ?? null, 2)}`,
    [meets ? 'within the limits' : '', kept ? 'on the frontier' : ''].filter((word) => word !== '').join(', '),
  ]);
  return formatTable(rows, ['left', 'right', 'right', ...(isTimed ? (['right'] as const) : []), 'right', 'left']);
}

function recommendationLine({
  patch,
  predictedGain,
  damage,
  addedBytes,
}: NonNullable<Report['recommendation']>): string {
  const share = formatNumber(damage > 0 ? (100 * predictedGain) / damage : 0, 0);
  const rules = `${patch.length} layer${patch.length === 1 ? '' : 's'}`;
  return `recommended: other precisions for ${rules} take ${share} % of the damage away for ${formatBytes(addedBytes)} (see recommendation in the report)\n`;
}

function artifactRow({ fileName, externalDataFileName, sizeBytes, verification }: Report['artifacts'][number]) {
  const files = externalDataFileName === null ? fileName : `${fileName} + ${externalDataFileName}`;
  return [
    files,
    formatBytes(sizeBytes),
    `${verification.passed ? 'verified' : 'NOT VERIFIED'} on ${verification.engine}`,
  ];
}

function gateRow({ name, limit, value, passed }: Report['gates'][number]): string[] {
  return [`gate ${name}`, passed ? 'passed' : 'FAILED', formatNumber(value, 3), `limit ${limit}`];
}

function warningLines({ warnings }: Report): string {
  return warnings.map(({ code, message }) => `warning ${code}: ${message}\n`).join('');
}
