/** Seeded weights for tests and benchmarks. */

/** Mulberry32: uniform numbers in [0, 1), always the same for one seed. */
export function uniformNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x ^= x + Math.imul(x ^ (x >>> 7), 61 | x);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal weights, by Box and Muller. */
export function gaussianWeights(count: number, seed: number): Float32Array {
  const uniform = uniformNumbers(seed);
  return Float32Array.from({ length: count }, () => gaussian(1 - uniform(), uniform()));
}

/**
 * Standard normal weights in random order, whose values are spread evenly over the distribution (Hammersley points):
 * averages over them converge much faster than over independent draws.
 */
export function evenGaussianWeights(count: number, seed: number): Float32Array {
  const goldenRatio = (Math.sqrt(5) - 1) / 2;
  return shuffled(
    Float32Array.from({ length: count }, (_, i) => gaussian((i + 0.5) / count, (i * goldenRatio) % 1)),
    seed,
  );
}

/** Laplace weights with E|w| = 1 in random order, spread like {@link evenGaussianWeights}. */
export function evenLaplaceWeights(count: number, seed: number): Float32Array {
  return shuffled(
    Float32Array.from({ length: count }, (_, i) => -Math.log((i + 0.5) / count) * (i % 2 ? 1 : -1)),
    seed,
  );
}

function gaussian(radius: number, angle: number): number {
  return Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
}

/** Fisher and Yates, in place. */
function shuffled(values: Float32Array, seed: number): Float32Array {
  const uniform = uniformNumbers(seed);
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(uniform() * (i + 1));
    const value = values[i]!;
    values[i] = values[j]!;
    values[j] = value;
  }
  return values;
}
