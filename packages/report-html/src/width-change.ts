import type { NceReport } from '@tritforge/contracts';

/** Layers that have one number of channels, before the search and after it. */
export type Width = NceReport['widths'][number];

export type Change = 'grew' | 'shrank' | 'stayed';

export const CHANGES: readonly Change[] = ['grew', 'shrank', 'stayed'];

export function changeOf({ original, result }: Width): Change {
  return result > original ? 'grew' : result < original ? 'shrank' : 'stayed';
}

const ARROWS: Readonly<Record<Change, string>> = { grew: '▲ ', shrank: '▼ ', stayed: '' };

/** `▲ 12.5 %`, `▼ 18.8 %` or `–`: told apart without colour. */
export function changeText(width: Width): string {
  const change = changeOf(width);
  return change === 'stayed' ? '–' : `${ARROWS[change]}${relative(width)}`;
}

function relative({ original, result }: Width): string {
  return original > 0 ? `${((100 * Math.abs(result - original)) / original).toFixed(1)} %` : '';
}
