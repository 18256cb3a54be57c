import type { WeightHistogram } from '@tritforge/contracts';
import { weightHistogramChart } from '../charts/histogram.js';
import { formatShare } from '../figures.js';
import { html, type Markup } from '../markup.js';
import { lowest, type NumberedLayer, weightPrecision } from '../precision.js';
import { decimals, layerLink, nodeName, type Section } from './section.js';

const MOST_SHOWN = 12;

/** The weights of the worst layers before and after. */
export const histogramsSection: Section = {
  id: 'histograms',
  title: 'Weights of the noisiest layers',
  render: ({ layers }) => {
    const worst = lowest(layers, layers.length, ({ outputSqnrDb, histogram }) =>
      histogram ? (outputSqnrDb ?? Number.MAX_VALUE) : null,
    );
    if (worst.length === 0) return null;
    return html`<div class="histograms">${worst.slice(0, MOST_SHOWN).map((entry) => card(entry, entry.layer.histogram!))}</div>
<p class="note">How many weights have which value: before quantization upwards, after it downwards, on one scale.</p>`;
  },
};

function card({ number, layer }: NumberedLayer, histogram: WeightHistogram): Markup {
  const { node, applied, outputSqnrDb, weightError } = layer;
  const figures = [
    weightPrecision(applied),
    ...(outputSqnrDb === null ? [] : [`output SQNR ${decimals(outputSqnrDb, 1)} dB`]),
    `weight error ${formatShare(weightError)}`,
  ];
  const description = `Histogram of the weights of layer ${number} before and after quantization, between ${(-histogram.limit).toPrecision(2)} and ${histogram.limit.toPrecision(2)}`;
  return html`<figure><figcaption>${layerLink(number, number)} ${nodeName(node)}<small class="figures">${figures.map((figure) => html`<span>${figure}</span>`)}</small></figcaption>${weightHistogramChart(histogram, description)}</figure>\n`;
}
