import { TritforgeError } from '@tritforge/contracts';

/**
 * Reports the weight that makes a channel unusable.
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS, always
 */
export function rejectNonFinite(weights: Float32Array, start: number, length: number): never {
  const index = start + weights.subarray(start, start + length).findIndex((weight) => !Number.isFinite(weight));
  throw new TritforgeError('MODEL_NONFINITE_WEIGHTS', `weight ${index} of ${weights.length} is ${weights[index]}`, {
    remediation: 'Export the model again from a checkpoint whose weights are finite.',
  });
}
