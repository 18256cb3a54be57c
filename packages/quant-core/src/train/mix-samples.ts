import type { HostTensor } from '../runtime/runtime.js';
import { mulberry32 } from '../seeded-random.js';

/**
 * Mixes every sample of a batch with the one after it: x ← λx + (1 − λ)x′, λ uniform in [0, 1]. Whoever says what the outputs should
 * be sees the mixture, so that it is worth more samples: a teacher is less sure of it than of what it was trained on.
 *
 * Source: Zhang et al. 2018, eq. 1; for distillation Beyer et al. 2022, §3.
 * @param tensor [N, …], float32
 */
export function mixSamples(tensor: HostTensor, seed: number): HostTensor {
  const source = tensor.data as Float32Array;
  const count = tensor.shape[0]!;
  const size = source.length / Math.max(count, 1);
  const data = new Float32Array(source.length);
  const next = mulberry32(seed);
  for (let sample = 0; sample < count; sample++) {
    const [own, other] = [sample * size, ((sample + 1) % count) * size];
    const share = next();
    for (let i = 0; i < size; i++) data[own + i] = share * source[own + i]! + (1 - share) * source[other + i]!;
  }
  return { ...tensor, data };
}
