import type { NceReport } from '@tritforge/contracts';
import { shortLoss } from '../charts/loss-curve.js';
import { formatCount, formatNumber, formatShare } from '../figures.js';
import { groupBy } from '../group-by.js';
import { foreign, html, type Markup, type Piece } from '../markup.js';
import { changeText, type Width } from '../width-change.js';
import { capped, listed, MESSAGE_LENGTH, nodeName, table } from './section.js';

type Reason = Width['ties'][number];
type Epoch = NceReport['course'][number];

const SHOWN_WIDTHS = 200;
const SHOWN_LAYERS_OF_WIDTH = 8;
/** Of a width: texts, and nodes for each. */
const SHOWN_REASONS = 3;
const SHOWN_NODES = 3;
const SHOWN_EPOCHS = 12;

/** The widths that could be chosen. */
export function widthTable(widths: readonly Width[]): Piece {
  if (widths.length === 0) return null;
  const head = html`<th scope="col" class="text">Layers</th><th scope="col">Channels before</th><th scope="col">After</th><th scope="col">Change</th><th scope="col" class="text why">Tied by</th>`;
  const { shown, more } = capped(widths, SHOWN_WIDTHS);
  const rows = shown.map(
    (width) =>
      html`<tr><th scope="row">${layerList(width.layers)}</th><td>${formatCount(width.original)}</td><td>${formatCount(width.result)}</td><td>${changeText(width)}</td><td class="text">${reasonList(width.ties)}</td></tr>\n`,
  );
  return html`${table('Widths that could be chosen, in the order of the network', head, rows)}${moreNote(more)}`;
}

/** The widths that the search had to leave as they are. */
export function fixedTable(fixed: NceReport['fixed']): Piece {
  if (fixed.length === 0) return null;
  const head = html`<th scope="col" class="text">Layers</th><th scope="col">Channels</th><th scope="col" class="text why">Reason</th>`;
  const { shown, more } = capped(fixed, SHOWN_WIDTHS);
  const rows = shown.map(
    ({ layers, channels, reasons }) =>
      html`<tr><th scope="row">${layerList(layers)}</th><td>${formatCount(channels)}</td><td class="text">${reasonList(reasons)}</td></tr>\n`,
  );
  return html`${table('Widths that stay as they are', head, rows)}${moreNote(more)}`;
}

/** The search by epoch: losses on both halves of the samples, and what the likeliest widths would cost. */
export function courseTable(course: readonly Epoch[]): Markup {
  const head = html`<th scope="col">Epoch</th><th scope="col">Loss, weights</th><th scope="col">Loss, candidates</th><th scope="col">Temperature</th><th scope="col">MACs, of limit</th><th scope="col">Parameters, of limit</th><th scope="col">Time, s</th>`;
  const shown = selected(course);
  const rows = shown.map(
    ({ epoch, trainingLoss, choiceLoss, temperature, macs, parameters, seconds }) =>
      html`<tr><td>${formatCount(epoch)}</td><td>${finite(trainingLoss, shortLoss)}</td><td>${finite(choiceLoss, shortLoss)}</td><td>${finite(temperature, shortLoss)}</td><td>${finite(macs, formatShare)}</td><td>${finite(parameters, formatShare)}</td><td>${formatNumber(seconds, 1)}</td></tr>\n`,
  );
  const which = shown.length < course.length ? 'Some epochs; the JSON report has all' : 'Epochs';
  const caption = `${which}: mean losses on the half of the samples that weights are trained on and on the half that decides, and the costs of the likeliest widths`;
  return table(caption, head, rows);
}

function layerList(layers: readonly string[]): Piece {
  return layers.length === 0 ? '–' : listed(layers, SHOWN_LAYERS_OF_WIDTH, nodeName);
}

/** Reasons of one wording together. */
function reasonList(reasons: readonly Reason[]): Piece {
  const groups = [...groupBy(reasons, ({ why }) => why).values()];
  const { shown, more } = capped(groups, SHOWN_REASONS);
  const lines = shown.map(
    (group, index) =>
      html`${index > 0 && html`<br>`}${listed(group, SHOWN_NODES, ({ node }) => nodeName(node))}: ${foreign(group[0]!.why, MESSAGE_LENGTH)}`,
  );
  return html`${lines}${more && html`<br><small>${more}</small>`}`;
}

/** Epochs at equal distances, the first and the last among them. */
function selected(course: readonly Epoch[]): readonly Epoch[] {
  const stride = Math.ceil(course.length / SHOWN_EPOCHS);
  return course.filter((_, index) => index % stride === 0 || index === course.length - 1);
}

/** Losses that became infinite or no number are null in JSON. */
function finite(value: number, format: (value: number) => string): string {
  return Number.isFinite(value) ? format(value) : '–';
}

function moreNote(more: string | null): Piece {
  return more && html`<p class="note">${more}</p>`;
}
