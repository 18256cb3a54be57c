/** Noise of a network's input: floats uniform in [−1, 1), token ids below 512. The same for the same seed. */
export function noise(
  dtype: 'float32' | 'int64',
  count: number,
  seed: number,
): Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> {
  const random = generator(seed);
  if (dtype === 'float32') return Float32Array.from({ length: count }, () => 2 * random() - 1);
  return BigInt64Array.from({ length: count }, () => BigInt(Math.floor(VOCABULARY * random())));
}

/** Of the smallest language model among the networks. */
const VOCABULARY = 512;

/** Linear congruential, the high 24 bits. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
