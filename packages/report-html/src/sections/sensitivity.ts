import type { DamageCause, LayerReport, Recommendation, Report } from '@tritforge/contracts';
import { formatBytes, formatCount, formatShare } from '../figures.js';
import { html, jsonText, type Markup, type Piece } from '../markup.js';
import { lowest, weightPrecision } from '../precision.js';
import { capped, decimals, layerLink, nodeName, type Section, significant, table } from './section.js';

const MOST_SENSITIVE = 10;
const SHOWN_RULES = 40;

/** Which layers do the damage, why, and what to change about the recipe. */
export const sensitivitySection: Section = {
  id: 'sensitivity',
  title: 'Sensitivity',
  render: ({ layers, recommendation = null }) => {
    const ranked = mostSensitive(layers, recommendation);
    if (ranked === null && recommendation === null) return null;
    return html`${ranked}${recommendation && advice(recommendation)}`;
  },
};

const UNITS: Readonly<Record<Recommendation['measure'], string>> = {
  kl: 'nats',
  relativeMse: 'of the variance of the output',
};

/** `, ` and the unit of damage, for a title; empty where the report does not say. */
export function damageUnit(recommendation: Report['recommendation']): string {
  return recommendation ? `, ${UNITS[recommendation.measure]}` : '';
}

function mostSensitive(layers: readonly LayerReport[], recommendation: Recommendation | null): Piece {
  const found = lowest(layers, MOST_SENSITIVE, ({ sensitivity }) =>
    typeof sensitivity === 'number' ? -sensitivity : null,
  );
  if (found.length === 0) return null;
  const hasCauses = found.some(({ layer }) => layer.causes !== undefined);
  const head = html`<th scope="col">Layer</th><th scope="col" class="text">Node</th><th scope="col" class="text">Weights</th><th scope="col">Damage${damageUnit(recommendation)}</th><th scope="col">Output SQNR, dB</th>${hasCauses && html`<th scope="col" class="text why">Causes, noise over signal</th>`}`;
  const rows = found.map(
    ({ number, layer }) =>
      html`<tr><td>${layerLink(number, number)}</td><th scope="row">${nodeName(layer.node)}</th><td class="text">${weightPrecision(layer.applied)}</td><td>${significant(layer.sensitivity)}</td><td>${decimals(layer.outputSqnrDb, 1)}</td>${hasCauses && html`<td class="text">${causeList(layer.causes ?? [])}</td>`}</tr>\n`,
  );
  return table('The layers that move the output of the model most when their weights alone are quantized', head, rows);
}

const CAUSE_NAMES: Readonly<Record<DamageCause['cause'], string>> = {
  rangeOutlier: 'outliers widen the input range',
  saturation: 'inputs outside their range',
  deadGroups: 'groups of weights became zero',
  inputShift: 'inputs shifted by earlier layers',
  sharedScaleMismatch: 'group scales rounded by their channel scale',
};

function causeList(causes: readonly DamageCause[]): Piece {
  return causes.map(
    ({ cause, noise }, index) =>
      html`${index > 0 && html`<br>`}${CAUSE_NAMES[cause] ?? cause} <small>${significant(noise)}</small>`,
  );
}

function advice({ measure, samples, damage, patch, predictedGain, addedBytes }: Recommendation): Markup {
  const sum = `Over ${formatCount(samples)} calibration samples kept aside, the layers as they are do a damage of ${significant(damage)} ${UNITS[measure]} in sum.`;
  if (patch.length === 0) return html`<p>${sum} No change that was measured lowers it.</p>`;
  const { shown, more } = capped(patch, SHOWN_RULES);
  const share = damage > 0 ? ` (${formatShare(predictedGain / damage)})` : '';
  const size = addedBytes < 0 ? `${formatBytes(-addedBytes)} smaller` : `${formatBytes(addedBytes)} larger`;
  const rules = shown.map((rule) => `  ${jsonText(rule, 0)}`).join(',\n');
  return html`<h3>Recommended change</h3>
<p>${sum} These rules, put behind those of the recipe, are predicted to take away ${significant(predictedGain)}${share} of it and make the stored weights ${size}. The JSON report has the whole recipe as <code>recommendation.recipe</code>.</p>
<pre tabindex="0"><code>${`"layers": [\n${rules}\n]`}</code></pre>${more && html`<p class="note">${more}</p>`}`;
}
