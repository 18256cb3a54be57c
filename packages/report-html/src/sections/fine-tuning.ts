import type { FineTuneReport } from '@tritforge/contracts';
import { lossCurve, shortLoss } from '../charts/loss-curve.js';
import { formatCount, formatNumber, formatShare } from '../figures.js';
import { html, type Markup } from '../markup.js';
import { duration, type LegendEntry, legend, type Section, table } from './section.js';

type Curve = FineTuneReport['curve'];

const SHOWN_EPOCHS = 12;

/** What the training of the quantized network came to: its losses over the epochs. */
export const fineTuningSection: Section = {
  id: 'fine-tuning',
  title: 'Fine-tuning',
  render: ({ fineTune }) => {
    if (!fineTune) return null;
    const curve = fineTune.curve.filter(({ heldOutLoss }) => Number.isFinite(heldOutLoss));
    return html`${outcome(fineTune, curve)}${curve.length > 1 && plot(fineTune, curve)}${curve.length > 0 && epochTable(fineTune, curve)}
<p class="note">Trained without labels to give the outputs of the original, on ${formatCount(fineTune.samples)} samples, ${fineTune.batch} per update, by ${fineTune.workers === 1 ? 'one thread' : `${fineTune.workers} threads`}, for ${duration(fineTune.seconds)}. The held-out loss is that of ${formatCount(fineTune.heldOutSamples)} samples that were not trained on; it decides which epoch the artifact is from.</p>`;
  },
};

function outcome({ bestEpoch }: FineTuneReport, curve: Curve): Markup | null {
  const [start, best] = [curve[0], curve.find(({ epoch }) => epoch === bestEpoch)];
  if (start === undefined || best === undefined) return null;
  if (bestEpoch === 0) {
    return html`<p>No epoch of ${formatCount(lastEpoch(curve))} had a lower loss on the samples kept aside than the start, ${shortLoss(start.heldOutLoss)}: the artifact is as it was without training.</p>`;
  }
  const gain = start.heldOutLoss > 0 ? `, by ${formatShare(1 - best.heldOutLoss / start.heldOutLoss)}` : '';
  return html`<p>On samples kept aside the loss fell from ${shortLoss(start.heldOutLoss)} to ${shortLoss(best.heldOutLoss)}${gain}. The artifact is from epoch ${formatCount(bestEpoch)} of ${formatCount(lastEpoch(curve))}.</p>`;
}

function plot({ bestEpoch }: FineTuneReport, curve: Curve): Markup {
  const description = `Loss on samples kept aside and on those trained on, over ${lastEpoch(curve)} epochs, with the start as a line and the epoch of the artifact marked; the table below has the figures`;
  return html`<div class="plots">${lossCurve(curve, bestEpoch, description)}</div>
${legend(LEGEND)}`;
}

const LEGEND: readonly LegendEntry[] = [
  [html`<path class="l-held-out" d="M0 7H14"/>`, 'samples kept aside'],
  [html`<path class="l-training" d="M0 7H14"/>`, 'samples trained on, mean over the epoch'],
  [html`<path class="l-start" d="M0 7H14"/>`, 'samples kept aside, before the training'],
  [html`<path class="p-result" d="M7 0l7 7l-7 7l-7 -7z"/>`, 'epoch of the artifact'],
];

function epochTable({ bestEpoch }: FineTuneReport, curve: Curve): Markup {
  const head = html`<th scope="col">Epoch</th><th scope="col">Held-out loss</th><th scope="col">Training loss</th><th scope="col">Time, s</th><th scope="col" class="text"></th>`;
  const shown = selected(curve, bestEpoch);
  const rows = shown.map(
    ({ epoch, heldOutLoss, trainingLoss, seconds }) =>
      html`<tr><td>${formatCount(epoch)}</td><td>${shortLoss(heldOutLoss)}</td><td>${trainingLoss === null ? '–' : shortLoss(trainingLoss)}</td><td>${formatNumber(seconds, 1)}</td><td class="text">${remark(epoch, bestEpoch)}</td></tr>\n`,
  );
  const caption = shown.length < curve.length ? 'Losses of some epochs; the JSON report has all' : 'Losses by epoch';
  return table(caption, head, rows);
}

function remark(epoch: number, bestEpoch: number): string {
  return [epoch === 0 ? 'start' : '', epoch === bestEpoch ? 'result' : ''].filter((word) => word !== '').join(', ');
}

/** Epochs at equal distances, the first, the best and the last among them. */
function selected(curve: Curve, bestEpoch: number): Curve {
  const stride = Math.ceil(curve.length / SHOWN_EPOCHS);
  return curve.filter(({ epoch }, index) => index % stride === 0 || index === curve.length - 1 || epoch === bestEpoch);
}

function lastEpoch(curve: Curve): number {
  return curve.at(-1)?.epoch ?? 0;
}
