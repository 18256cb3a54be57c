import { markdownTable } from '../shared/markdown-table.js';
import { columnsOf, meanSpeedup, networkUs, type Row, speedup, speedups, type Table } from './summary.js';

/** Marks a ratio below one: slower than the peer. */
const LOSS = '▼';
const NONE = '–';

/** Everything about one family at one temperature, as Markdown. */
export function tableText(table: Table): string {
  const { own } = columnsOf(table);
  const temperature = table.temperature === 'cold' ? ', cold caches' : '';
  return [
    `### ${table.family.title}${temperature}`,
    table.temperature === 'warm' ? table.family.about : '',
    own.length > 0 ? meansText(table) : '',
    `GOP/s (two operations per multiplication and addition), medians:`,
    rateText(table),
    ...own.map((name) => `**${name}**, times as fast as\n\n${ratioText(table, name)}`),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** Geometric means of one family, a line per own kernel. */
function meansText(table: Table): string {
  const { own, peers } = columnsOf(table);
  const lines = own.map((name) => [name, ...peers.map((peer) => meanCell(table, name, peer))]);
  return `Geometric means of the ratios, and in how many rows it is slower:\n\n${markdownTable(['times as fast as', ...peers], lines)}`;
}

function meanCell(table: Table, own: string, peer: string): string {
  const mean = meanSpeedup(table, own, peer);
  if (mean === null) return NONE;
  const ratios = speedups(table, own, peer);
  const losses = ratios.filter(isLoss).length;
  return losses === 0 ? ratioCell(mean) : `${ratioCell(mean)} (slower in ${losses} of ${ratios.length})`;
}

function rateText(table: Table): string {
  const { own, peers } = columnsOf(table);
  const candidates = [...own, ...peers];
  const lines = table.rows.map((row) => [
    title(row),
    ...candidates.map((name) => rateCell(row, name)),
    percent(Math.max(0, ...[...row.figures.values()].map(({ spread }) => spread))),
  ]);
  const total = [...candidates.map((name) => millis(networkUs(table, name))), ''];
  if (table.family.isNetwork) lines.push(['sum with counts, ms', ...total]);
  return markdownTable(['', ...candidates, 'largest spread'], lines);
}

function ratioText(table: Table, own: string): string {
  const { peers } = columnsOf(table);
  const rows = table.rows.filter(({ figures }) => figures.has(own));
  const lines = rows.map((row) => [
    title(row),
    row.figures.get(own)!.detail,
    ...peers.map((peer) => ratioCell(speedup(row, own, peer))),
  ]);
  lines.push(['geometric mean', '', ...peers.map((peer) => ratioCell(meanSpeedup(table, own, peer)))]);
  if (table.family.isNetwork) {
    const mine = networkUs(table, own);
    const cell = (theirs: number | null) => ratioCell(mine === null || theirs === null ? null : theirs / mine);
    lines.push(['sum with counts', '', ...peers.map((peer) => cell(networkUs(table, peer)))]);
  }
  return markdownTable(['', 'kernel', ...peers], lines);
}

function title({ shape }: Row): string {
  return shape.count === 1 ? shape.id : `${shape.count} × ${shape.id}`;
}

function rateCell({ shape, figures }: Row, name: string): string {
  const found = figures.get(name);
  return found === undefined ? NONE : ((2 * shape.macs) / found.medianUs / 1e3).toFixed(0);
}

function ratioCell(ratio: number | null): string {
  if (ratio === null) return NONE;
  return isLoss(ratio) ? `${ratio.toFixed(2)} ${LOSS}` : ratio.toFixed(2);
}

/** Below one in the digits that are shown. */
function isLoss(ratio: number): boolean {
  return Number(ratio.toFixed(2)) < 1;
}

function millis(microseconds: number | null): string {
  return microseconds === null ? NONE : (microseconds / 1e3).toFixed(2);
}

function percent(part: number): string {
  return `±${(100 * part).toFixed(0)} %`;
}
