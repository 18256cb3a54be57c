import type { LatencyReport } from '@tritforge/contracts';
import type { Feeds, Session } from '../runtime/runtime.js';
import { compareLatency, cpuName, type LatencyOptions } from './latency.js';

export interface LatencyRequest extends LatencyOptions {
  readonly original: Session;
  readonly quantized: Session;
  /** The int8 baseline, where there is one. */
  readonly int8?: Session | null | undefined;
  /** What all models run on: a real sample, or what `syntheticFeeds` makes. */
  readonly feeds: Feeds;
  /** Threads that the sessions were loaded with. */
  readonly threads: number;
  /** Samples in the feeds. */
  readonly batch: number;
}

/** Times the models against each other, interleaved; times are medians. @throws TritforgeError MODEL_RUN_FAILED, CANCELED */
export async function measureLatency(request: LatencyRequest): Promise<LatencyReport> {
  const { original, quantized, int8, feeds, threads, batch, ...options } = request;
  const contestants = [
    { name: 'original', session: original, feeds },
    { name: 'quantized', session: quantized, feeds },
    ...(int8 ? [{ name: 'int8', session: int8, feeds }] : []),
  ];
  const { runs, results } = await compareLatency(contestants, options);
  return {
    threads,
    batch,
    runs,
    originalMs: results.get('original')!.medianMs,
    int8Ms: results.get('int8')?.medianMs ?? null,
    quantizedMs: results.get('quantized')!.medianMs,
    cpu: cpuName(),
  };
}
