import type { NceReport, Recipe } from '@tritforge/contracts';
import { costCurve } from '../charts/cost-curve.js';
import { widthBars } from '../charts/width-bars.js';
import { formatCount, formatShare } from '../figures.js';
import { html, type Markup, type Piece } from '../markup.js';
import { CHANGES, changeOf, type Width } from '../width-change.js';
import { candidateMaps } from './candidate-maps.js';
import { courseTable, fixedTable, widthTable } from './channel-tables.js';
import { controlTable } from './control-table.js';
import { decimals, duration, type LegendEntry, legend, type Section } from './section.js';

/** More rows would be no thicker than their text. */
const DRAWN_WIDTHS = 100;

/** How many channels the layers were given, and how the search came to it. */
export const channelsSection: Section = {
  id: 'channels',
  title: 'Channels',
  render: (report) => {
    const { nce, provenance } = report;
    if (!nce) return null;
    return html`${outcome(nce.widths)}<p>${costSentence('Multiply-accumulates of a sample', nce.macs)} ${costSentence('Parameters', nce.parameters)}${nce.bytes && html` ${costSentence('Bytes of the first artifact', nce.bytes)}`}</p>
${controlTable(report)}
${nce.widths.length > 0 && bars(nce.widths)}${widthTable(nce.widths)}${fixedTable(nce.fixed)}${course(nce)}
<p class="note">${origin(nce, provenance.recipe as Recipe)}</p>`;
  },
};

/** Where the numbers come from. */
function origin({ samples, seconds, refined, course: epochs }: NceReport, { nce }: Recipe): string {
  if (epochs.length === 0) return 'The recipe names the channels; nothing was searched.';
  const halves = 'weights are trained on one half of them, and the other half decides how likely each candidate is';
  const all = 'weights are trained on them, and by the same steps each candidate becomes more or less likely';
  const start = nce?.start === 'none' ? ', from random weights' : '';
  const searched = `Searched on ${formatCount(samples)} samples for ${duration(seconds)}${start}: ${nce?.bilevel === false ? all : halves}.`;
  return refined === undefined ? searched : `${searched} ${exchanges(refined)}`;
}

function exchanges({ networks, before, after }: NonNullable<NceReport['refined']>): string {
  const measured = `${formatCount(networks)} networks measured`;
  return after < before
    ? `Channels were exchanged behind it, ${measured}: the loss went from ${decimals(before, 4)} to ${decimals(after, 4)}.`
    : `No exchange of channels behind it lowered the loss of ${decimals(before, 4)}, ${measured}.`;
}

function outcome(widths: readonly Width[]): Markup {
  const meaning = 'A width is the number of channels of a layer, or of several that are tied and have equally many.';
  if (widths.length === 1) return html`<p>One width could be chosen, and it ${changeOf(widths[0]!)}. ${meaning}</p>`;
  const [grew, shrank, stayed] = CHANGES.map((change) => widths.filter((width) => changeOf(width) === change).length);
  return html`<p>Of ${formatCount(widths.length)} widths that could be chosen, ${formatCount(grew!)} grew, ${formatCount(shrank!)} shrank and ${formatCount(stayed!)} stayed. ${meaning}</p>`;
}

function costSentence(what: string, { original, limit, result }: NceReport['macs']): string {
  const change = original > 0 ? ` (${signedPercent(result / original - 1)})` : '';
  const share = limit > 0 ? `${formatShare(result / limit)} of ` : '';
  return `${what}: ${formatCount(original)} before, ${formatCount(result)} after${change}, which is ${share}the limit of ${formatCount(limit)}.`;
}

function signedPercent(share: number): string {
  const text = `${decimals(100 * share, 1)} %`;
  return Number.parseFloat(text) > 0 ? `+${text}` : text;
}

function bars(widths: readonly Width[]): Markup {
  const shown = widths.slice(0, DRAWN_WIDTHS);
  const all = formatCount(widths.length);
  const which = shown.length < widths.length ? `the first ${shown.length} of ${all}` : all;
  const description = `Channels before and after the search: one row for each of ${which} widths, in the order of the network; the table below has the figures`;
  const note = shown.length < widths.length && html`<p class="note">The drawing has ${which} widths.</p>`;
  return html`${legend(BAR_LEGEND)}<div class="scroll">${widthBars(shown, description)}</div>${note}`;
}

const BAR_LEGEND: readonly LegendEntry[] = [
  [html`<rect class="c-before" y="1" width="14" height="12"/>`, 'before'],
  [html`<rect class="c-grew" y="4" width="14" height="6"/>`, 'after: ▲ grew'],
  [html`<rect class="c-shrank" y="4" width="14" height="6"/>`, 'after: ▼ shrank'],
  [html`<rect class="c-stayed" y="4" width="14" height="6"/>`, 'after: stayed'],
];

function course({ widths, course: epochs }: NceReport): Piece {
  if (epochs.length === 0) return null;
  const counted = epochs.filter(({ macs, parameters }) => Number.isFinite(macs) && Number.isFinite(parameters));
  return html`<h3>Course of the search</h3>
${candidateMaps(widths, epochs)}${counted.length > 1 && costs(counted)}${courseTable(epochs)}`;
}

function costs(epochs: NceReport['course']): Markup {
  const description = `Multiply-accumulates and parameters of the likeliest widths as shares of their limits, over ${epochs.length} epochs, with the limit as a line; the table below has the figures`;
  return html`<div class="plots">${costCurve(epochs, description)}</div>
${legend(COST_LEGEND)}`;
}

const COST_LEGEND: readonly LegendEntry[] = [
  [html`<path class="l-macs" d="M0 7H14"/>`, 'multiply-accumulates of the likeliest widths'],
  [html`<path class="l-parameters" d="M0 7H14"/>`, 'parameters of the likeliest widths'],
];
