import type { NceReport, Report } from '@tritforge/contracts';
import { shortLoss } from '../charts/loss-curve.js';
import { formatBytes, formatCount, formatMetric, metricName } from '../figures.js';
import { html, type Piece } from '../markup.js';
import { decimals, table } from './section.js';

type Control = NonNullable<NceReport['controls']>[number];

const NAMES: Readonly<Record<Control['name'], string>> = {
  original: 'widths before',
  uniform: 'all widths times one factor',
  random: 'random widths',
};

/** The result beside networks of other widths that were trained in the same way. */
export function controlTable({ nce, accuracy, artifacts, fineTune }: Report): Piece {
  const controls = nce?.controls ?? [];
  if (nce === undefined || controls.length === 0) return null;
  const best = fineTune?.curve[fineTune.bestEpoch];
  const metric = accuracy === null ? null : accuracy.metric;
  const head = html`<th scope="col" class="text">Network</th><th scope="col">MACs</th><th scope="col">Parameters</th><th scope="col">Size</th><th scope="col">${metric === null ? 'Accuracy' : metricName(metric)}</th><th scope="col">Drop</th><th scope="col">Held-out loss</th>`;
  const found = {
    macs: nce.macs.result,
    parameters: nce.parameters.result,
    sizeBytes: artifacts[0]?.sizeBytes ?? 0,
    accuracy: accuracy?.quantized ?? null,
    drop: accuracy?.drop ?? null,
    pairedStandardError: accuracy?.pairedStandardError ?? null,
    heldOutLoss: best?.heldOutLoss ?? Number.NaN,
  };
  const rows = [
    row('as searched', found, metric),
    ...controls.map(({ name, ...control }) => row(NAMES[name] ?? name, control, metric)),
  ];
  return table('The result, and networks of other widths that were trained in the same way', head, rows);
}

function row(
  name: string,
  { macs, parameters, sizeBytes, accuracy, drop, pairedStandardError, heldOutLoss }: Omit<Control, 'name' | 'widths'>,
  metric: NonNullable<Report['accuracy']>['metric'] | null,
): Piece {
  const error = pairedStandardError === null ? '' : ` ± ${decimals(pairedStandardError, 2)}`;
  const shown = accuracy === null || metric === null ? '–' : formatMetric(metric, accuracy);
  return html`<tr><th scope="row">${name}</th><td>${formatCount(macs)}</td><td>${formatCount(parameters)}</td><td>${formatBytes(sizeBytes)}</td><td>${shown}</td><td>${decimals(drop, 2)}${drop !== null && error}</td><td>${Number.isFinite(heldOutLoss) ? shortLoss(heldOutLoss) : '–'}</td></tr>\n`;
}
