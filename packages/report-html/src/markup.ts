/**
 * Text becomes HTML in one place: a template escapes whatever is put into it unless that is markup already, so that
 * nobody can forget to.
 */

/** HTML that was made by {@link html}. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes: markup as it is, text and numbers escaped, lists one after the other, nothing for the rest. */
export type Piece = Markup | string | number | false | null | undefined | readonly Piece[];

/**
 * HTML with escaped values.
 * @example html`<td>${node.name}</td>`
 */
export function html(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  let text = strings[0]!;
  for (const [index, piece] of pieces.entries()) text += textOf(piece) + strings[index + 1]!;
  return new Markup(text);
}

function textOf(piece: Piece): string {
  if (piece instanceof Markup) return piece.text;
  if (typeof piece === 'number') return String(piece);
  if (typeof piece === 'string') return escapeText(piece);
  return Array.isArray(piece) ? piece.map(textOf).join('') : '';
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const HARMLESS = /^[\n\t !#-%(-;=?-~]*$/;
/** Control and format characters, among them those that turn the direction of text, and halves of pairs. */
const INVISIBLE = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu;

/** Text for HTML, quoted attributes included. Characters that could hide or turn others become visible. */
function escapeText(text: string): string {
  if (HARMLESS.test(text)) return text;
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!).replace(INVISIBLE, visible);
}

function visible(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/**
 * A name or message that somebody else chose, on one line and not longer than `maxLength`: what is left out lies in the middle,
 * where names differ least.
 */
export function foreign(text: string, maxLength: number): string {
  const line = text.length > maxLength ? shortened(text, maxLength) : text;
  return line === '' ? '(unnamed)' : line.replace(/[\n\t]/g, visible);
}

function shortened(text: string, maxLength: number): string {
  const half = Math.floor((maxLength - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(text.length - half)}`;
}

/** JSON to copy, in lines where `indent` is above 0: characters that {@link html} would make visible are written as JSON has them. */
export function jsonText(value: unknown, indent = 2): string {
  const escaped = (match: string) =>
    [...Array(match.length).keys()].map((i) => `\\u${match.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
  return (JSON.stringify(value, null, indent) ?? 'null').replace(INVISIBLE, escaped);
}
