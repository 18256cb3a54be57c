import type { NceReport } from '@tritforge/contracts';
import { type CandidateRow, candidateGrid, shownEpochs } from '../charts/candidate-grid.js';
import { candidateMap, shadeOpacity } from '../charts/candidate-map.js';
import { formatCount, formatShare } from '../figures.js';
import { html, type Markup } from '../markup.js';
import { changeOf, changeText, type Width } from '../width-change.js';
import { capped, type LegendEntry, legend, nodeName } from './section.js';

/** With all the maps of a deep network a page would be slow to open and long to scroll. */
const SHOWN_MAPS = 36;

/** How likely the candidates of each width became: one small map for each, with shades that mean the same in all of them. */
export function candidateMaps(widths: readonly Width[], course: NceReport['course']): Markup {
  const { shown, more } = capped(widths, SHOWN_MAPS);
  const epochs = shownEpochs(course, shown.length);
  const grids = shown.map((width, position) => candidateGrid(epochs, position, width));
  const darkest = grids.flat().reduce((most, { shares }) => Math.max(most, ...shares.map((share) => share ?? 0)), 0.01);
  const cards = shown.map((width, position) =>
    card(width, position + 1, grids[position]!, { darkest, epochs: epochs.map(({ epoch }) => epoch) }),
  );
  return html`<p>The candidates of each width, upwards, and how likely they were from epoch to epoch. Larger ones join while the largest is likely.</p>
${legend(legendEntries(darkest))}<div class="histograms">${cards}</div>${more && html`<p class="note">${more}</p>`}`;
}

function card(
  width: Width,
  number: number,
  rows: readonly CandidateRow[],
  scale: { readonly darkest: number; readonly epochs: readonly number[] },
): Markup {
  const { layers, original, result } = width;
  const others = layers.length > 1 ? ` and ${formatCount(layers.length - 1)} more` : '';
  const share = rows.find(({ to }) => result <= to)?.shares.at(-1);
  const figures = [
    changeOf(width) === 'stayed'
      ? `${formatCount(original)} channels, as before`
      : `${formatCount(original)} → ${formatCount(result)} channels, ${changeText(width)}`,
    ...(typeof share === 'number' ? [`${formatShare(share)} likely in the end`] : []),
  ];
  const description = `Probabilities of ${rows.length} candidates of width ${number} over the epochs; it had ${formatCount(original)} channels and was given ${formatCount(result)}`;
  return html`<figure><figcaption>${nodeName(layers[0] ?? '')}${others}<small class="figures">${figures.map((figure) => html`<span>${figure}</span>`)}</small></figcaption>${candidateMap(rows, { width, description, ...scale })}</figure>\n`;
}

function legendEntries(darkest: number): LegendEntry[] {
  const cell = (share: number) =>
    html`<rect class="heat" fill-opacity="${shadeOpacity(share)}" width="14" height="14"/>`;
  return [
    [cell(0), 'improbable'],
    [cell(0.5), `${formatShare(darkest / 2)} probable`],
    [cell(1), `${formatShare(darkest)} probable`],
    [html`<circle class="p-original" cx="7" cy="7" r="5"/>`, 'before'],
    [html`<path class="p-result" d="M7 0l7 7l-7 7l-7 -7z"/>`, 'after'],
  ];
}
