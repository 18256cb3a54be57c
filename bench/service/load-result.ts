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
  /** The same, of the warm-up: a process that has just started answers its first requests slowly, and may turn some away. */
  readonly warmUpFailures: Readonly<Record<string, number>>;
  /** Of all jobs that were created, those of the warm-up too. */
  readonly jobIds: readonly string[];
}

/** Notes answers as they come. */
export class LoadCounts {
  readonly #samplesMs: number[] = [];
  readonly #failures: Record<string, number> = {};
  readonly #warmUpFailures: Record<string, number> = {};
  readonly #jobIds: string[] = [];

  /** @param latencyMs null for a request that was answered when the time was over, whose failure counts all the same */
  note({ failure, jobId }: LoadAnswer, latencyMs: number | null): void {
    if (jobId !== null) this.#jobIds.push(jobId);
    if (failure !== null) countOne(this.#failures, failure);
    else if (latencyMs !== null) this.#samplesMs.push(latencyMs);
  }

  noteWarmUp({ failure, jobId }: LoadAnswer): void {
    if (jobId !== null) this.#jobIds.push(jobId);
    if (failure !== null) countOne(this.#warmUpFailures, failure);
  }

  result(seconds: number): LoadResult {
    return {
      answered: this.#samplesMs.length,
      seconds,
      latencies: latenciesOf(this.#samplesMs),
      failures: this.#failures,
      warmUpFailures: this.#warmUpFailures,
      jobIds: this.#jobIds,
    };
  }
}

function countOne(failures: Record<string, number>, failure: string): void {
  failures[failure] = (failures[failure] ?? 0) + 1;
}
