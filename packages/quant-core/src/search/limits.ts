/** What a search is to reach. Null where nothing is asked for. */
export interface SearchLimits {
  readonly maxDrop: number | null;
  readonly maxBytes: number | null;
  readonly maxBitsPerWeight: number | null;
  readonly maxLatencyMs: number | null;
}

/** How large a network is. */
export interface NetworkSize {
  /** Of its first artifact. */
  readonly sizeBytes: number;
  /** Of the quantized layers. */
  readonly bitsPerWeight: number;
}

/** What a network costs whoever runs it. */
export interface NetworkCost extends NetworkSize {
  /** Of one run; null where it was not measured. */
  readonly latencyMs: number | null;
}

/** Whether nothing but the latency is limited. */
export function isLatencyAlone({ maxLatencyMs, ...others }: SearchLimits): boolean {
  return maxLatencyMs !== null && Object.values(others).every((limit) => limit === null);
}

/** What networks are traded for accuracy by: latency where nothing but it is limited, else size. */
export function costOf(limits: SearchLimits): (network: NetworkCost) => number {
  return isLatencyAlone(limits)
    ? ({ latencyMs }) => latencyMs ?? Number.POSITIVE_INFINITY
    : ({ sizeBytes }) => sizeBytes;
}

/** Whether a network is small and fast enough, as far as its cost is known. */
export function isWithinBudget({ sizeBytes, bitsPerWeight, latencyMs }: NetworkCost, limits: SearchLimits): boolean {
  const { maxBytes, maxBitsPerWeight, maxLatencyMs } = limits;
  return (
    sizeBytes <= (maxBytes ?? sizeBytes) &&
    bitsPerWeight <= (maxBitsPerWeight ?? bitsPerWeight) &&
    (latencyMs === null || latencyMs <= (maxLatencyMs ?? latencyMs))
  );
}
