/** How long requests took, in milliseconds. */
export interface Latencies {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Exact percentiles, by the nearest rank; null where there is nothing. */
export function latenciesOf(samplesMs: readonly number[]): Latencies | null {
  if (samplesMs.length === 0) return null;
  const sorted = Float64Array.from(samplesMs).sort();
  const percentile = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return { p50Ms: percentile(0.5), p99Ms: percentile(0.99), maxMs: sorted.at(-1)! };
}
