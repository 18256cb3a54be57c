import type { ActivationRange } from '@tritforge/contracts';
import { chooseRange } from '../calibrate/choose-range.js';
import type { Histogram } from '../calibrate/histogram.js';
import type { MaxCode, RangeMethod, ValueRange } from '../calibrate/value-range.js';
import type { UserError } from './measure-ranges.js';

/** What `auto` chooses from. The first wins where several are equally good. */
const AUTO_METHODS: readonly RangeMethod[] = ['mse', 'percentile', 'entropy', 'minmax'];

/** The different ranges that a method, or `auto`, considers for a value. */
export function rangeCandidates(
  histogram: Histogram,
  range: ActivationRange,
  { nonNegative, maxCode }: { readonly nonNegative: boolean; readonly maxCode: MaxCode },
): ValueRange[] {
  const methods = range === 'auto' ? AUTO_METHODS : [range];
  const different = new Map<string, ValueRange>();
  for (const method of methods) {
    const candidate = chooseRange(histogram, { method, nonNegative, maxCode });
    const key = `${candidate.scale} ${candidate.zeroPoint}`;
    if (!different.has(key)) different.set(key, candidate);
  }
  return [...different.values()];
}

/**
 * The trial of a value that does the least damage: noise relative to signal, added up over all operators that take the value in.
 * Operators without signal, and trials whose results are not finite, do not count.
 */
export function leastDamage(users: readonly UserError[], trials: readonly ValueRange[], maxCode: MaxCode): ValueRange {
  const heard = users.filter(({ signal }) => signal > 0);
  let best: { readonly trial: ValueRange; readonly damage: number } | null = null;
  for (const [i, trial] of trials.entries()) {
    if (trial.maxCode !== maxCode) continue;
    const damage = heard.reduce((sum, { signal, noises }) => sum + noises[i]! / signal, 0);
    if (best === null || damage < best.damage || Number.isNaN(best.damage)) best = { trial, damage };
  }
  return best!.trial;
}
