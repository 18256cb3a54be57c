import type { LayerPrecision, LayerReport } from '@tritforge/contracts';
import { formatShape, formatShare } from '../figures.js';
import { foreign, html, type Markup } from '../markup.js';
import { layerPrecision, precisionClass } from '../precision.js';
import { BAR_STEPS } from '../style.js';
import { capped, decimals, nodeName, type Section, SHOWN_LAYERS, significant, table } from './section.js';

/** The bar of the least noisy layer is full, unless it is as good as exact. */
const LARGEST_FULL_BAR_DB = 60;

/** Every layer with its figures, in the order of the model. */
export const layerTableSection: Section = {
  id: 'all-layers',
  title: 'All layers',
  render: ({ layers }) => {
    if (layers.length === 0) return null;
    const { shown, more } = capped(layers, SHOWN_LAYERS);
    const hasSensitivity = layers.some(({ sensitivity }) => typeof sensitivity === 'number');
    const head = html`<th scope="col">Layer</th><th scope="col" class="text">Node</th><th scope="col" class="text">Operator and shape</th><th scope="col" class="text">Precision</th><th scope="col">Bits per weight</th><th scope="col">Weight error</th><th scope="col">Zeros</th>${hasSensitivity && html`<th scope="col">Sensitivity</th>`}<th scope="col" colspan="2">Output SQNR, dB</th>`;
    const fullBarDb = Math.min(LARGEST_FULL_BAR_DB, Math.max(1, ...shown.map(({ outputSqnrDb }) => outputSqnrDb ?? 0)));
    const rows = shown.map((layer, index) => row(layer, index + 1, { hasSensitivity, fullBarDb }));
    return html`${table('Layers in the order of the model', head, rows, 'layers')}${more && html`<p class="note">${more}</p>`}`;
  },
};

interface RowOptions {
  readonly hasSensitivity: boolean;
  readonly fullBarDb: number;
}

function row(layer: LayerReport, number: number, { hasSensitivity, fullBarDb }: RowOptions): Markup {
  const { node, op, shape, requested, applied, bitsPerWeight, weightError, zeros, sensitivity, outputSqnrDb } = layer;
  const precision = layerPrecision(applied);
  const wish = layerPrecision(requested);
  return html`<tr id="layer-${number}"><td>${number}</td><th scope="row">${nodeName(node)}</th><td class="text whole">${foreign(op, 40)} <small>${shape && formatShape(shape)}</small></td><td class="text swatched ${precisionClass(applied)}">${precision}${wish !== precision && html`<br><small>requested: ${wish}</small>`}</td><td>${decimals(bitsPerWeight, 2)}</td><td>${formatShare(weightError)}</td><td>${formatShare(zeros)}</td>${hasSensitivity && html`<td>${significant(sensitivity)}</td>`}<td>${decimals(outputSqnrDb, 1)}</td><td class="${barClass(applied, (outputSqnrDb ?? 0) / fullBarDb)}"></td></tr>\n`;
}

/** Bars are classes: thousands of drawings, or of style attributes, would cost a second when the page opens. */
function barClass(applied: LayerPrecision, share: number): string {
  const step = Math.round(BAR_STEPS * Math.min(1, Math.max(0, share)));
  return `bar ${precisionClass(applied)} w${step}`;
}
