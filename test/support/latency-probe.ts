import { setTimeout as sleep } from 'node:timers/promises';

/** Latencies of a health check that was asked again and again, in milliseconds. */
export interface ProbeResult {
  readonly count: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Asks `/health/live` every few milliseconds until it is stopped. */
export function probeLatency(baseUrl: string): { stop: () => Promise<ProbeResult> } {
  const latenciesMs: number[] = [];
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      const startMs = performance.now();
      const response = await fetch(`${baseUrl}/health/live`);
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`/health/live answered ${response.status}`);
      latenciesMs.push(performance.now() - startMs);
      await sleep(5);
    }
  })();
  return {
    async stop() {
      stopped.abort();
      await running;
      latenciesMs.sort((left, right) => left - right);
      return {
        count: latenciesMs.length,
        p99Ms: latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? Number.NaN,
        maxMs: latenciesMs.at(-1) ?? Number.NaN,
      };
    },
  };
}
