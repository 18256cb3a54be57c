import { setTimeout as sleep } from 'node:timers/promises';
import { Passing } from './passing.js';

const FIRST_MS = 500;
const LONGEST_MS = 20_000;

/** The longest pause before attempt `attempt` + 1, counted from 0, in milliseconds: each is twice the one before. */
export function longestPauseMs(attempt: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
}

/**
 * The pauses between attempts. Each has a length at random between half of the longest and the longest, so that clients which failed
 * together do not come back together, and is at least what the service asks for.
 */
export class Backoff {
  readonly #patienceMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #latestMs: number;
  #giveUpMs: number | null = null;
  #attempt = 0;

  /**
   * @param patienceMs for so long after the first failure there are further attempts
   * @param latestMs on the clock of `performance.now()`: no attempt begins after that
   */
  constructor(patienceMs: number, signal: AbortSignal | undefined, latestMs = Number.POSITIVE_INFINITY) {
    this.#patienceMs = patienceMs;
    this.#signal = signal;
    this.#latestMs = latestMs;
  }

  /** Something succeeded: the next failure is the first one. */
  reset(): void {
    this.#attempt = 0;
    this.#giveUpMs = null;
  }

  /** Waits until the next attempt. @throws the error when it does not pass, or not in time; the reason of the signal */
  async pause(error: unknown): Promise<void> {
    if (!(error instanceof Passing)) throw error;
    this.#giveUpMs ??= Math.min(this.#latestMs, performance.now() + this.#patienceMs);
    const pauseMs = Math.max(error.retryAfterMs, longestPauseMs(this.#attempt++) * (0.5 + Math.random() / 2));
    if (performance.now() + pauseMs > this.#giveUpMs) throw error.failure;
    await sleep(pauseMs, undefined, { ...(this.#signal && { signal: this.#signal }) }).catch(() => {});
    this.#signal?.throwIfAborted();
  }
}
