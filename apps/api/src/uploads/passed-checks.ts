import { contentKey } from '@tritforge/store';

/** A check that somebody waits for, and whether that somebody is still there. */
interface RunningCheck {
  readonly outcome: Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Remembers what content has passed: a check takes a process of its own, and a pipeline sends jobs on the same model and data all day. Content goes by
 * its digest and never changes, so what passed once passes again. What failed is checked anew.
 */
export class PassedChecks {
  readonly #limit: number;
  /** In the order in which they passed or were asked for last. */
  readonly #passed = new Set<string>();
  readonly #running = new Map<string, RunningCheck>();

  /** @param limit how many are remembered; those that nobody asked for longest are forgotten */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Makes sure that a check has passed, in this process or now. Those who need the same check at once share it.
   * @param checked everything that the outcome depends on, as JSON values
   * @param signal of whoever asks; a shared check that ends with the signal of another is done again
   * @throws what the check throws; the reason of the signal
   */
  async pass(checked: unknown, signal: AbortSignal, check: () => Promise<void>): Promise<void> {
    const key = contentKey(checked);
    for (;;) {
      if (this.#passed.has(key)) return this.#remember(key);
      const running = this.#running.get(key);
      if (running === undefined) return this.#run(key, signal, check);
      try {
        await running.outcome;
      } catch (error) {
        if (!running.signal.aborted) throw error;
      }
      signal.throwIfAborted();
    }
  }

  #run(key: string, signal: AbortSignal, check: () => Promise<void>): Promise<void> {
    const outcome = check()
      .then(() => this.#remember(key))
      .finally(() => this.#running.delete(key));
    this.#running.set(key, { outcome, signal });
    return outcome;
  }

  #remember(key: string): void {
    this.#passed.delete(key);
    this.#passed.add(key);
    if (this.#passed.size > this.#limit) this.#passed.delete(this.#passed.values().next().value!);
  }
}
