import type { WeightHistogram } from '@tritforge/contracts';
import { html, type Markup } from '../markup.js';
import { coordinate } from './axis.js';

const WIDTH = 300;
const HALF = 62;
const MIDDLE = HALF + 4;
const HEIGHT = 2 * HALF + 26;

/**
 * The weights of a layer as they were, upwards, and as they are, downwards, on one scale. The bin of the zeros, which dwarfs the
 * others, is cut off and says what it holds.
 * @param description what the chart shows, for those who cannot see it; no text of others
 */
export function weightHistogramChart({ limit, original, quantized }: WeightHistogram, description: string): Markup {
  const zeroBin = (quantized.length - 1) / 2;
  const rest = [...original, ...quantized.filter((_, bin) => bin !== zeroBin)];
  const highest = Math.max(1, ...rest);
  const zeros = quantized[zeroBin] ?? 0;
  const total = quantized.reduce((sum, count) => sum + count, 0);
  const isCut = zeros > highest;
  return html`<svg class="histogram" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">
<path class="h-original" d="${steps(original, highest, -1)}"/>
<path class="h-quantized" d="${steps(quantized, highest, 1)}"/>
${isCut && html`<path class="cut" d="M${WIDTH / 2 - 6} ${MIDDLE + HALF - 9}l12 -4"/>`}
<path class="axis" d="M0 ${MIDDLE}H${WIDTH}"/>
<text x="0" y="10">before</text><text x="0" y="${MIDDLE + HALF - 2}">after</text>
${isCut && html`<text x="${WIDTH / 2 + 10}" y="${MIDDLE + HALF - 2}">${((100 * zeros) / total).toFixed(0)} % around 0</text>`}
<text x="0" y="${HEIGHT - 2}">${weight(-limit)}</text><text x="${WIDTH / 2}" y="${HEIGHT - 2}" text-anchor="middle">0</text><text x="${WIDTH}" y="${HEIGHT - 2}" text-anchor="end">${weight(limit)}</text>
</svg>`;
}

/** The outline of the bins, away from the axis in the direction of `sign`. */
function steps(counts: readonly number[], highest: number, sign: 1 | -1): string {
  const width = WIDTH / counts.length;
  const points = counts.map((count, bin) => {
    const y = coordinate(MIDDLE + sign * HALF * Math.min(1, count / highest));
    return `V${y}H${coordinate((bin + 1) * width)}`;
  });
  return `M0 ${MIDDLE}${points.join('')}V${MIDDLE}z`;
}

function weight(value: number): string {
  return value.toPrecision(2).replace('-', '−');
}
