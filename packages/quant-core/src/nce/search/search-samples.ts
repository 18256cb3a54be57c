import { mulberry32 } from '../../seeded-random.js';
import { shuffled } from '../../train/shuffled.js';
import type { SearchOptions } from './search-options.js';

/** What samples are for. */
export interface SearchSamples {
  /** Weights learn from them. */
  readonly own: readonly number[];
  /** Choices are made by them; null where those are the same. */
  readonly other: readonly number[] | null;
}

/** Halves of the samples where the search is bilevel, the same for a seed. */
export function searchSamples({
  samples,
  bilevel,
  seed,
}: Pick<SearchOptions, 'samples' | 'bilevel' | 'seed'>): SearchSamples {
  const order = shuffled(samples.fitting, mulberry32(seed));
  const half = Math.floor(order.length / 2);
  return bilevel ? { own: order.slice(0, half), other: order.slice(half) } : { own: order, other: null };
}
