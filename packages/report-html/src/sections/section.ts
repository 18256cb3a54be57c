import type { Report } from '@tritforge/contracts';
import { formatCount, formatNumber } from '../figures.js';
import { foreign, html, type Markup, type Piece } from '../markup.js';

/** A part of the page. */
export interface Section {
  /** The fragment of the address that leads to it. */
  readonly id: string;
  readonly title: string;
  /** Null where the report has nothing to show. */
  readonly render: (report: Report) => Markup | null;
}

/** Lengths to which text of others is shown; the JSON report has all of it. */
export const NAME_LENGTH = 140;
export const MESSAGE_LENGTH = 600;

/** A node name in the page; it may break before its last part. */
export function nodeName(name: string): Markup {
  const shown = foreign(name, NAME_LENGTH);
  const last = shown.lastIndexOf('/');
  const parts = last > 0 ? html`${shown.slice(0, last)}<wbr>${shown.slice(last)}` : shown;
  return html`<bdi class="node">${parts}</bdi>`;
}

/** Rows of models that are larger than this are in the JSON report alone: pages must open at once. */
export const SHOWN_LAYERS = 2000;

/** A link to the row of a layer, where there is one. */
export function layerLink(number: number, content: Piece): Markup {
  return number <= SHOWN_LAYERS ? html`<a href="#layer-${number}">${content}</a>` : html`${content}`;
}

/** A figure with a minus sign where it is negative, also after rounding; `–` when there is none. */
export function decimals(value: number | null | undefined, count: number): string {
  const text = formatNumber(value, count);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** A figure with two significant digits and a minus sign; `–` when there is none. */
export function significant(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : String(Number(value.toPrecision(2))).replaceAll('-', '−');
}

/** The first items of a list, and what to say of the others. */
export function capped<T>(items: readonly T[], most: number): { shown: readonly T[]; more: string | null } {
  const left = items.length - most;
  return {
    shown: items.slice(0, most),
    more: left > 0 ? `and ${formatCount(left)} more in the JSON report` : null,
  };
}

/** The first items of a list in a sentence, and how many others there are. */
export function listed<T>(items: readonly T[], most: number, render: (item: T) => Markup): Piece {
  const { shown, more } = capped(items, most);
  return html`${shown.map((item, index) => html`${index > 0 && ', '}${render(item)}`)}${more && `, ${more}`}`;
}

/** 12.5 → `12.5 s`, 200 → `3.3 minutes`. */
export function duration(seconds: number): string {
  return seconds < 100 ? `${formatNumber(seconds, 1)} s` : `${formatNumber(seconds / 60, 1)} minutes`;
}

/** A mark, drawn in a square of 14, and what it stands for. */
export type LegendEntry = readonly [drawing: Markup, name: string];

/** What the marks of a drawing stand for. */
export function legend(entries: readonly LegendEntry[]): Markup {
  return html`<ul class="legend">${entries.map(([drawing, name]) => html`<li><svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">${drawing}</svg>${name}</li>`)}</ul>`;
}

/** A table that scrolls by itself where the page is narrower, with a caption that says what it holds. */
export function table(caption: string, head: Piece, rows: Piece, className = ''): Markup {
  return html`<div class="scroll"><table class="${className}"><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>
${rows}</tbody></table></div>`;
}
