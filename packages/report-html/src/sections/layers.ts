import type { LayerReport } from '@tritforge/contracts';
import { type BarPanel, layerBars } from '../charts/layer-bars.js';
import { formatCount, formatShare } from '../figures.js';
import { groupBy } from '../group-by.js';
import { html, type Markup } from '../markup.js';
import { precisionClass, weightCount, weightPrecision } from '../precision.js';
import { legend, type Section } from './section.js';
import { damageUnit } from './sensitivity.js';

/** Above it, outputs are as good as exact, and bars of the others would become too short to compare. */
const HIGHEST_SQNR_DB = 60;
const LOWEST_SQNR_DB = -20;

/** What each layer became and what that did to it, as bars in the order of the model. */
export const layersSection: Section = {
  id: 'layers',
  title: 'Layers',
  render: ({ layers, recommendation }) => {
    if (layers.length === 0) return null;
    const panels = panelsOf(layers, damageUnit(recommendation));
    const description = `${panels.map(({ title }) => title).join('; ')}: one bar for each of ${layers.length} layers. The table of all layers has the figures`;
    return html`${mixLegend(layers)}<div class="scroll">${layerBars(layers, panels, description)}</div>
<p class="note">Output SQNR: the signal-to-noise ratio of what leaves the layer in the quantized network against the original, noise of all layers before included; bars end at ${HIGHEST_SQNR_DB} dB. Bits per weight: codes and scales as stored; floating-point layers have no bar.</p>`;
  },
};

function panelsOf(layers: readonly LayerReport[], unit: string): BarPanel[] {
  const panel = (
    title: string,
    format: BarPanel['format'],
    figureOf: BarPanel['figureOf'],
    ends: (low: number, high: number) => [number, number],
  ) => {
    const values = layers.map(figureOf).filter((value) => value !== null && value !== undefined);
    if (values.length === 0) return [];
    const extreme = (choose: (a: number, b: number) => number) => values.reduce((a, b) => choose(a, b), 0);
    return [{ title, format, figureOf, ends: ends(extreme(Math.min), extreme(Math.max)) }];
  };
  const short = (value: number) => String(Number(value.toPrecision(3))).replace('-', '−');
  return [
    ...panel(
      'Output SQNR, dB',
      short,
      ({ outputSqnrDb }) => outputSqnrDb,
      (low, high) => [Math.max(low, LOWEST_SQNR_DB), Math.min(Math.max(high, 1), HIGHEST_SQNR_DB)],
    ),
    ...panel(
      `Sensitivity: damage at the output of the model by this layer alone${unit}`,
      short,
      ({ sensitivity }) => sensitivity,
      (low, high) => [low, high > low ? high : low + 1],
    ),
    ...panel(
      'Bits per weight',
      short,
      ({ bitsPerWeight }) => bitsPerWeight,
      (_, high) => [0, Math.max(high, 4)],
    ),
  ];
}

/** Which precisions there are, in which colour, and how much of the model has them. */
function mixLegend(layers: readonly LayerReport[]): Markup {
  const total = layers.reduce((sum, layer) => sum + weightCount(layer), 0);
  const groups = [...groupBy(layers, ({ applied }) => weightPrecision(applied)).entries()];
  const entries = groups.map(([name, group]) => ({
    name,
    group,
    weights: group.reduce((sum, layer) => sum + weightCount(layer), 0),
  }));
  entries.sort((a, b) => b.weights - a.weights);
  return legend(
    entries.map(({ name, group, weights }) => {
      const share = total === 0 ? '' : `, ${formatShare(weights / total)} of the weights`;
      const drawing = html`<rect class="${precisionClass(group[0]!.applied)}" width="14" height="14"/>`;
      return [drawing, `${name}: ${formatCount(group.length)} ${group.length === 1 ? 'layer' : 'layers'}${share}`];
    }),
  );
}
