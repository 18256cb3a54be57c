import type { NceReport } from '@tritforge/contracts';
import { formatDuration } from './duration.js';

/** What the search for channels came to, and what the network costs of what it may. */
export function channelsLine({ widths, macs, parameters, course, seconds }: NceReport): string {
  const grew = widths.filter(({ original, result }) => result > original).length;
  const shrank = widths.filter(({ original, result }) => result < original).length;
  const changed = `${grew + shrank} of ${widths.length} width${widths.length === 1 ? '' : 's'} changed`;
  const costs = `${costOf(macs)} multiply-accumulates, ${costOf(parameters)} parameters`;
  const epochs = `${course.length} epoch${course.length === 1 ? '' : 's'}, ${formatDuration(seconds)}`;
  const search = course.length === 0 ? 'as the recipe names them' : epochs;
  return `channels: ${changed} (${grew} grew, ${shrank} shrank); ${costs}; ${search}\n`;
}

const UNITS = ['', 'k', 'M', 'G', 'T'] as const;

/** `12.4 of 12.5 M`: both in the unit of the smaller one. */
function costOf({ result, limit }: NceReport['macs']): string {
  const power = Math.max(0, Math.min(UNITS.length - 1, Math.floor((String(Math.min(result, limit)).length - 1) / 3)));
  const inUnit = (count: number) => (power === 0 ? String(count) : (count / 1000 ** power).toFixed(1));
  return `${inUnit(result)} of ${inUnit(limit)}${power === 0 ? '' : ` ${UNITS[power]}`}`;
}
