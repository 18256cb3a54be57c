/**
 * Seeded random numbers of about unit variance (a sum of uniform ones from a 32-bit linear congruential generator).
 * @returns a function that gives the next `count` numbers
 */
export function randomFloats(seed: number): (count: number) => Float32Array {
  const next = randomIntegers(seed);
  const uniform = () => next() / 2 ** 32 - 0.5;
  return (count) => Float32Array.from({ length: count }, () => 2 * (uniform() + uniform() + uniform()));
}

/** Seeded random integers from 0 to 2^32 - 1. */
export function randomIntegers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // The low bits of such a generator repeat soon; fold the high ones in.
    return (state ^ (state >>> 15)) >>> 0;
  };
}

/** Seeded random bytes. */
export function randomBytes(seed: number, count: number): Buffer {
  const next = randomIntegers(seed);
  return Buffer.from(Uint8Array.from({ length: count }, () => next() >>> 24));
}
