import { formatCount } from '../figures.js';
import { foreign, html, type Markup } from '../markup.js';
import { changeOf, changeText, type Width } from '../width-change.js';
import { type Axis, coordinate, linearAxis } from './axis.js';

/** Right ends of names and figures, and the bars between them. */
const WIDTH = 960;
const NAMES_END = 312;
const BARS = { left: 320, right: 752 };
const COUNTS_END = 874;
const CHANGES_END = 956;
const TOP = 22;
const FOOT = 24;
/** Rows share this height where they are many, so that a hundred fit on a sheet of paper. */
const ROOM = 1250;
const PITCH = { least: 12.5, most: 26 };
const NAME_LENGTH = 34;
const TICKS = 6;
/** Of a layer that is named on hovering, and how many are. */
const TITLE_LENGTH = 80;
const MOST_TITLES = 40;

/**
 * A row for each width in the order of the network: the channels before as an outline, those after as a bar in it or beyond it.
 * @param description what the chart shows, for those who cannot see it; no text of others
 */
export function widthBars(widths: readonly Width[], description: string): Markup {
  const pitch = Math.min(PITCH.most, Math.max(PITCH.least, ROOM / widths.length));
  const bottom = coordinate(TOP + pitch * widths.length);
  const most = Math.max(1, ...widths.map(({ original, result }) => Math.max(original, result)));
  const axis = linearAxis(0, most, { from: BARS.left, to: BARS.right }, TICKS);
  return html`<svg class="bars" viewBox="0 0 ${WIDTH} ${bottom + FOOT}" role="img" aria-label="${description}">
${frame(axis, bottom)}
${widths.map((width, row) => rowOf(width, axis, { top: TOP + row * pitch, pitch }))}
</svg>`;
}

function frame(axis: Axis, bottom: number): Markup {
  const lines = axis.ticks.filter(Number.isInteger).map((tick) => {
    const x = coordinate(axis.at(tick));
    return html`<path class="${tick === 0 ? 'axis' : 'grid'}" d="M${x} ${TOP}V${bottom}"/><text x="${x}" y="${bottom + 16}" text-anchor="middle">${formatCount(tick)}</text>`;
  });
  return html`<text class="title" x="${BARS.left}" y="12">Channels</text><text class="title" x="${COUNTS_END}" y="12" text-anchor="end">before → after</text><text class="title" x="${CHANGES_END}" y="12" text-anchor="end">change</text>${lines}`;
}

function rowOf(width: Width, axis: Axis, { top, pitch }: { readonly top: number; readonly pitch: number }): Markup {
  const { layers, original, result } = width;
  const bar = (className: string, channels: number, share: number) => {
    const height = coordinate(pitch * share);
    const length = coordinate(axis.at(channels) - BARS.left);
    return html`<rect class="${className}" x="${BARS.left}" y="${coordinate(top + (pitch - height) / 2)}" width="${length}" height="${height}"/>`;
  };
  // The middle of small letters lies 4 above their baseline.
  const baseline = coordinate(top + pitch / 2 + 4);
  const others = layers.length > 1 ? ` and ${formatCount(layers.length - 1)} more` : '';
  return html`<text class="name" x="${NAMES_END}" y="${baseline}" text-anchor="end"><tspan class="apart">${foreign(layers[0] ?? '', NAME_LENGTH)}</tspan>${others}</text>${bar(`c-${changeOf(width)}`, result, 0.4)}${bar('c-before', original, 0.74)}<text x="${COUNTS_END}" y="${baseline}" text-anchor="end">${formatCount(original)} → ${formatCount(result)}</text><text x="${CHANGES_END}" y="${baseline}" text-anchor="end">${changeText(width)}</text>
<rect class="hover" x="0" y="${coordinate(top)}" width="${WIDTH}" height="${coordinate(pitch)}"><title>${titleOf(width)}</title></rect>
`;
}

function titleOf({ layers, original, result }: Width): string {
  const named = layers.slice(0, MOST_TITLES).map((layer) => foreign(layer, TITLE_LENGTH));
  const left = layers.length - named.length;
  const counts = `${formatCount(original)} channels before, ${formatCount(result)} after`;
  return [...named, ...(left > 0 ? [`and ${formatCount(left)} more`] : []), counts].join('\n');
}
