import { cpus } from 'node:os';
import { throwIfCanceled } from '../cancellation.js';
import type { Feeds, Session } from '../runtime/runtime.js';
import { quantile } from './statistics.js';

/** A loaded model and what to run it on. */
export interface Contestant {
  readonly name: string;
  readonly session: Session;
  readonly feeds: Feeds;
}

export interface LatencyOptions {
  /** Rounds before those that count. Default 3; one is enough when it takes half of the budget. */
  readonly warmupRounds?: number | undefined;
  /** Rounds that count, at most. Default 500: the median of runs of microseconds needs many. */
  readonly maxRounds?: number | undefined;
  /** Time after which no further round begins, once `minRounds` are done. Default 2000. */
  readonly budgetMs?: number | undefined;
  /** Rounds that count, at least. Default 3. */
  readonly minRounds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Times of one model. */
export interface Latency {
  readonly medianMs: number;
  /** Half of the runs lie between the quartiles. */
  readonly lowerQuartileMs: number;
  readonly upperQuartileMs: number;
}

export interface LatencyComparison {
  /** Timed runs of each model. */
  readonly runs: number;
  /** By contestant name. */
  readonly results: ReadonlyMap<string, Latency>;
}

/**
 * Times models against each other in one process. Every round runs each model once; the order rotates from round to
 * round and turns around after each full turn, so that every model follows every other about equally often: neither a slow phase
 * of the machine nor the caches that one model leaves behind favour another.
 */
export async function compareLatency(
  contestants: readonly Contestant[],
  options: LatencyOptions = {},
): Promise<LatencyComparison> {
  const { warmupRounds = 3, maxRounds = 500, budgetMs = 2000, minRounds = 3, signal } = options;
  const times = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  const warmupStart = performance.now();
  for (let round = 0; round < warmupRounds; round++) {
    if (round > 0 && performance.now() - warmupStart > budgetMs / 2) break;
    await runRound(contestants, round, signal);
  }
  const start = performance.now();
  let runs = 0;
  while (runs < maxRounds && (runs < minRounds || performance.now() - start < budgetMs)) {
    await runRound(contestants, runs, signal, (name, elapsedMs) => times.get(name)?.push(elapsedMs));
    runs++;
  }
  return { runs, results: new Map([...times].map(([name, elapsed]) => [name, summarize(elapsed)])) };
}

/** Name of this machine's processor, as the operating system gives it. */
export function cpuName(): string {
  return cpus()[0]?.model.trim() || process.arch;
}

async function runRound(
  contestants: readonly Contestant[],
  round: number,
  signal: AbortSignal | undefined,
  onRun?: (name: string, elapsedMs: number) => void,
): Promise<void> {
  for (const { name, session, feeds } of orderOf(contestants, round)) {
    throwIfCanceled(signal);
    const start = performance.now();
    await session.run(feeds);
    onRun?.(name, performance.now() - start);
  }
}

function orderOf(contestants: readonly Contestant[], round: number): readonly Contestant[] {
  const count = contestants.length;
  const rotated = contestants.map((_, i) => contestants[(i + round) % count]!);
  return Math.floor(round / count) % 2 === 0 ? rotated : rotated.reverse();
}

function summarize(elapsedMs: readonly number[]): Latency {
  return {
    medianMs: quantile(elapsedMs, 0.5),
    lowerQuartileMs: quantile(elapsedMs, 0.25),
    upperQuartileMs: quantile(elapsedMs, 0.75),
  };
}
