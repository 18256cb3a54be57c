import type { Report } from '@tritforge/contracts';
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

/** A node name in the page. */
export function nodeName(name: string): Markup {
  return html`<bdi class="node">${foreign(name, NAME_LENGTH)}</bdi>`;
}

/** The first items of a list, and what to say of the others. */
export function capped<T>(items: readonly T[], most: number): { shown: readonly T[]; more: string | null } {
  const left = items.length - most;
  return {
    shown: items.slice(0, most),
    more: left > 0 ? `and ${left.toLocaleString('en-US')} more in the JSON report` : null,
  };
}

/** A table that scrolls by itself where the page is narrower, with a caption that says what it holds. */
export function table(caption: string, head: Piece, rows: Piece, className = ''): Markup {
  return html`<div class="scroll"><table class="${className}"><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>
${rows}</tbody></table></div>`;
}
