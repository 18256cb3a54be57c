import type { GateReport, Report, Warning } from '@tritforge/contracts';
import { formatBytes, formatNumber } from '../figures.js';
import { groupBy } from '../group-by.js';
import { foreign, html, type Markup } from '../markup.js';
import { capped, MESSAGE_LENGTH, nodeName, type Section, table } from './section.js';

const SHOWN_WARNINGS = 6;

/** Whether the gates hold, and what one should know. */
export const judgementSection: Section = {
  id: 'gates',
  title: 'Gates and warnings',
  render: ({ gates, warnings }) =>
    gates.length + warnings.length === 0
      ? null
      : html`${gates.length > 0 && gateTable(gates)}${warnings.length > 0 && warningList(warnings)}`,
};

const GATE_NAMES: Readonly<Record<string, { title: string; format: (value: number) => string }>> = {
  maxAccuracyDrop: { title: 'Accuracy drop, at most', format: (value) => formatNumber(value, 2) },
  maxSizeBytes: { title: 'Size, at most', format: formatBytes },
  minSpeedup: { title: 'Speed-up, at least', format: (value) => `${value.toFixed(2)}×` },
};

function gateTable(gates: readonly GateReport[]): Markup {
  const head = html`<th scope="col" class="text">Gate</th><th scope="col">Limit</th><th scope="col">Measured</th><th scope="col" class="text">Verdict</th>`;
  const rows = gates.map(({ name, limit, value, passed }) => {
    const { title, format } = GATE_NAMES[name] ?? { title: name, format: (number: number) => formatNumber(number, 3) };
    return html`<tr><th scope="row">${title}</th><td>${format(limit)}</td><td>${value === null ? 'not measured' : format(value)}</td><td class="text">${verdict(passed, 'passed', 'failed')}</td></tr>\n`;
  });
  return table('Gates', head, rows);
}

/** A word with a sign, in colour: none of the three alone carries the meaning. */
export function verdict(isGood: boolean, good: string, bad: string): Markup {
  return isGood ? html`<span class="good">✓ ${good}</span>` : html`<span class="bad">✗ ${bad}</span>`;
}

function warningList(warnings: readonly Warning[]): Markup {
  const groups = groupBy(warnings, ({ code }) => code);
  return html`<dl class="warnings">${[...groups].map(([code, found]) => {
    const { shown, more } = capped(found, SHOWN_WARNINGS);
    return html`<div><dt>${foreign(code, 60)}</dt>${shown.map(({ message, node }) => html`<dd>${node !== null && html`${nodeName(node)}: `}${foreign(message, MESSAGE_LENGTH)}</dd>`)}${more && html`<dd class="note">${more}</dd>`}</div>`;
  })}</dl>`;
}

/** One line for the head of the page: whether everything that was checked holds. */
export function standing({ gates, artifacts }: Report): Markup {
  const failed = gates.filter(({ passed }) => !passed).length;
  const verified = artifacts.every(({ verification }) => verification.passed);
  const engine = artifacts[0]?.verification.engine;
  return html`<p class="standing">
${gates.length === 0 ? html`<span>no gates asked for</span>` : verdict(failed === 0, gates.length === 1 ? 'the gate holds' : `all ${gates.length} gates hold`, `${failed} of ${gates.length} gates failed`)}
${artifacts.length > 0 && verdict(verified, artifacts.length === 1 ? 'artifact verified' : `all ${artifacts.length} artifacts verified`, 'not every artifact was verified')}
${engine && html`<span>on ${engine}</span>`}</p>`;
}
