import { type Latencies, latenciesOf } from './latencies.js';
import type { LoadAnswer } from './load-request.js';

/** What a load measured. */
export interface LoadResult {
  /** Requests that were answered as they were meant; latencies are theirs. */
  readonly answered: number;
  readonly seconds: number;
  readonly latencies: Latencies | null;
  /** How often something else came, by what it was. */
  readonly failures: Readonly<Record<string, number>>;
  /** Of all jobs that were created, those of the warm-up too. */
  readonly jobIds: readonly string[];
}

/** Notes answers as they come. */
export class LoadCounts {
  readonly #samplesMs: number[] = [];
  readonly #failures: Record<string, number> = {};
  readonly #jobIds: string[] = [];

  /** @param latencyMs null for a request of the warm-up, whose failure counts all the same */
  note({ failure, jobId }: LoadAnswer, latencyMs: number | null): void {
    if (jobId !== null) this.#jobIds.push(jobId);
    if (failure !== null) this.#failures[failure] = (this.#failures[failure] ?? 0) + 1;
    else if (latencyMs !== null) this.#samplesMs.push(latencyMs);
  }

  result(seconds: number): LoadResult {
    return {
      answered: this.#samplesMs.length,
      seconds,
      latencies: latenciesOf(this.#samplesMs),
      failures: this.#failures,
      jobIds: this.#jobIds,
    };
  }
}
