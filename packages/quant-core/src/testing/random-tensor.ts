import { elementCount, type Tensor, tensorFromFloats } from '../ir/index.js';
import { gaussian, seededRandom } from './random.js';

/** A float32 constant of normal numbers. */
export function randomTensor(shape: readonly number[], seed: number, scale = 1, shift = 0): Tensor {
  const next = gaussian(seededRandom(seed));
  return tensorFromFloats(
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => shift + scale * next()),
  );
}
