import { npy, npz } from './archives.js';
import { CLASSES } from './models.js';
import { randomFloats, randomIntegers } from './random.js';

/** A float32 array of this shape with random numbers. */
export function floatArray(shape: readonly number[], seed = 7): Buffer {
  const count = shape.reduce((product, dim) => product * dim, 1);
  return npy('<f4', shape, Buffer.from(randomFloats(seed)(count).buffer));
}

/** An int64 array of this shape with numbers from 0 to `limit` - 1. */
export function integerArray(shape: readonly number[], limit: number, seed = 9): Buffer {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const next = randomIntegers(seed);
  const values = BigInt64Array.from({ length: count }, () => BigInt((next() >>> 8) % limit));
  return npy('<i8', shape, Buffer.from(values.buffer));
}

/** Samples for `classifier`, without labels. */
export function samples(count: number, seed = 7): Buffer {
  return npz({ x: floatArray([count, 3, 8, 8], seed) });
}

/** Samples for `classifier` with random labels. */
export function labelledSamples(count: number, seed = 7): Buffer {
  return npz({ x: floatArray([count, 3, 8, 8], seed), labels: integerArray([count], CLASSES, seed) });
}

/** Images for the example model, of random pixels. */
export function exampleImages(count: number, seed = 7): Buffer {
  const shape = [count, 3, 24, 24];
  const next = randomIntegers(seed);
  return npz({
    image: npy('|u1', shape, Buffer.from(Array.from({ length: count * 3 * 24 * 24 }, () => next() >>> 24))),
  });
}
