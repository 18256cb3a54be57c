import type { LayerPrecision, LayerReport, Report } from '@tritforge/contracts';
import { formatCount } from '../figures.js';
import { groupBy } from '../group-by.js';
import { foreign, html, type Markup, type Piece } from '../markup.js';
import { layerPrecision } from '../precision.js';
import { capped, layerLink, listed, MESSAGE_LENGTH, nodeName, type Section, table } from './section.js';

const SHOWN_NODES = 8;
const SHOWN_GROUPS = 100;

/** Where what was applied differs from what was requested, and what stayed in floating point, layers of one reason together. */
export const precisionsSection: Section = {
  id: 'precisions',
  title: 'Requested and applied',
  render: ({ layers, kept }) => {
    if (layers.length + kept.length === 0) return null;
    const different = layers.map((layer, index) => ({ ...layer, number: index + 1 })).filter(isDifferent);
    return html`${different.length === 0 ? html`<p>Every layer got the precision that was requested.</p>` : differences(different, layers.length)}
${kept.length > 0 && keptTable(kept)}`;
  },
};

function isDifferent({ requested, applied }: LayerReport): boolean {
  return layerPrecision(requested) !== layerPrecision(applied);
}

function differences(layers: readonly (LayerReport & { number: number })[], total: number): Markup {
  const groups = [
    ...groupBy(layers, ({ requested, applied, reason }) =>
      JSON.stringify([layerPrecision(requested), layerPrecision(applied), reason]),
    ).values(),
  ].sort(largerFirst);
  const head = html`<th scope="col" class="text wish">Requested</th><th scope="col" class="text wish">Applied</th><th scope="col" class="text why">Reason</th><th scope="col">Layers</th><th scope="col" class="text">Nodes</th>`;
  const { shown, more } = capped(groups, SHOWN_GROUPS);
  const rows = shown.map((group) => {
    const { requested, applied, reason } = group[0]!;
    const nodes = listed(group, SHOWN_NODES, ({ number, node }) => layerLink(number, nodeName(node)));
    return html`<tr><td class="text">${unbroken(requested)}</td><th scope="row">${unbroken(applied)}</th><td class="text">${foreign(reason ?? 'no reason given', MESSAGE_LENGTH)}</td><td>${formatCount(group.length)}</td><td class="text">${nodes}</td></tr>\n`;
  });
  return html`<p>${formatCount(layers.length)} of ${formatCount(total)} layers did not get the precision that was requested.</p>
${table('Layers whose precision is not the requested one', head, rows)}${more && html`<p class="note">${more}</p>`}`;
}

function keptTable(kept: Report['kept']): Markup {
  const groups = [...groupBy(kept, ({ op, reason }) => JSON.stringify([op, reason])).values()].sort(largerFirst);
  const head = html`<th scope="col" class="text">Operator</th><th scope="col" class="text why">Reason</th><th scope="col">Layers</th><th scope="col" class="text">Nodes</th>`;
  const { shown, more } = capped(groups, SHOWN_GROUPS);
  const rows = shown.map((group) => {
    const { op, reason } = group[0]!;
    return html`<tr><th scope="row">${foreign(op, 60)}</th><td class="text">${foreign(reason, MESSAGE_LENGTH)}</td><td>${formatCount(group.length)}</td><td class="text">${listed(group, SHOWN_NODES, ({ node }) => nodeName(node))}</td></tr>\n`;
  });
  return html`${table('Layers that stay in floating point', head, rows)}${more && html`<p class="note">${more}</p>`}`;
}

/** A precision that breaks between its parts alone. */
function unbroken(precision: LayerPrecision): Piece {
  const parts = layerPrecision(precision).split(', ');
  return parts.map((part, index) => html`${index > 0 && ', '}<span class="whole">${part}</span>`);
}

function largerFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return b.length - a.length;
}
