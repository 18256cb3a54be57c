/**
 * Weights to begin with: normal with variance 2 / fan-in, so that rectified signals keep their size on the way forward; gains 1,
 * biases 0. Source: He et al. 2015, equation 10, the fan-in form.
 */
import { mulberry32 } from '../seeded-random.js';
import { type Parameter, vectorLength } from './parameter-vector.js';
import type { TrainableTensor } from './trainable-tensors.js';

/**
 * One vector; the same for the same seed.
 * @param tensors those of the parameters, in their order
 */
export function heNormal(
  parameters: readonly Parameter[],
  tensors: readonly TrainableTensor[],
  seed: number,
): Float32Array {
  const next = normalNumbers(mulberry32(seed));
  const vector = new Float32Array(vectorLength(parameters));
  for (const [i, { offset, length }] of parameters.entries()) {
    const { kind, fanIn } = tensors[i]!;
    const values = vector.subarray(offset, offset + length);
    if (kind === 'gain') values.fill(1);
    if (kind !== 'weight') continue;
    const deviation = Math.sqrt(2 / fanIn);
    for (let j = 0; j < length; j++) values[j] = deviation * next();
  }
  return vector;
}

/** Standard normal numbers, by Box and Muller. */
export function normalNumbers(uniform: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
