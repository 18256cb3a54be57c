/** Seeded random numbers, so that a test that fails can be run again as it was. */
export interface Random {
  /** An integer from 0 to `count` - 1. */
  below(count: number): number;
  /** One of the items; undefined where there are none. */
  pick<T>(items: readonly T[]): T | undefined;
}

/** A 32-bit linear congruential generator, of which the high bits are used. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const below = (count: number): number => {
    state = (Math.imul(state, 747796405) + 2891336453) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
  return { below, pick: (items) => items[below(items.length)] };
}
