import type { LayerReport } from '@tritforge/contracts';
import { formatNumber, formatShape, formatShare } from '../figures.js';
import { foreign, html, type Markup } from '../markup.js';
import { layerPrecision, precisionClass } from '../precision.js';
import { capped, nodeName, type Section, table } from './section.js';

/** Rows of models that are larger than this are in the JSON report alone: pages must open at once. */
const SHOWN_LAYERS = 2000;
/** dB at which the bar beside the figure is full. */
const FULL_BAR_DB = 50;
const BAR_WIDTH = 56;

/** Every layer with its figures, in the order of the model. */
export const layerTableSection: Section = {
  id: 'all-layers',
  title: 'All layers',
  render: ({ layers }) => {
    if (layers.length === 0) return null;
    const { shown, more } = capped(layers, SHOWN_LAYERS);
    const hasSensitivity = layers.some(({ sensitivity }) => typeof sensitivity === 'number');
    const head = html`<th scope="col">Layer</th><th scope="col" class="text">Node</th><th scope="col" class="text">Operator and shape</th><th scope="col" class="text">Precision</th><th scope="col">Bits per weight</th><th scope="col">Weight error</th><th scope="col">Zeros</th>${hasSensitivity && html`<th scope="col">Sensitivity</th>`}<th scope="col" colspan="2">Output SQNR, dB</th>`;
    const rows = shown.map((layer, index) => row(layer, index + 1, hasSensitivity));
    return html`${table('Layers in the order of the model', head, rows, 'layers')}${more && html`<p class="note">${more}</p>`}`;
  },
};

function row(layer: LayerReport, number: number, hasSensitivity: boolean): Markup {
  const { node, op, shape, requested, applied, bitsPerWeight, weightError, zeros, sensitivity, outputSqnrDb } = layer;
  const precision = layerPrecision(applied);
  const wish = layerPrecision(requested);
  return html`<tr id="layer-${number}"><td>${number}</td><th scope="row">${nodeName(node)}</th><td class="text">${foreign(op, 40)} <small>${shape && formatShape(shape)}</small></td><td class="text"><svg class="swatch" viewBox="0 0 14 14" aria-hidden="true"><rect class="${precisionClass(applied)}" width="14" height="14"/></svg>${precision}${wish !== precision && html` <small>requested: ${wish}</small>`}</td><td>${formatNumber(bitsPerWeight, 2)}</td><td>${formatShare(weightError)}</td><td>${formatShare(zeros)}</td>${hasSensitivity && html`<td>${formatNumber(sensitivity, 3)}</td>`}<td>${formatNumber(outputSqnrDb, 1)}</td><td class="bar">${outputSqnrDb !== null && bar(outputSqnrDb, precisionClass(applied))}</td></tr>\n`;
}

function bar(sqnrDb: number, colour: string): Markup {
  const width = Math.round(BAR_WIDTH * Math.min(1, Math.max(0, sqnrDb / FULL_BAR_DB)));
  return html`<svg class="b" viewBox="0 0 ${BAR_WIDTH} 8" aria-hidden="true"><rect class="${colour}" width="${width}" height="8"/></svg>`;
}
