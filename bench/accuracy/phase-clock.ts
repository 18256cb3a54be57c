import { performance } from 'node:perf_hooks';
import type { Phase } from '@tritforge/contracts';

/** Seconds in each phase of a job. */
export class PhaseClock {
  readonly #startedMs = performance.now();
  readonly #seconds = new Map<Phase, number>();
  #phase: Phase | null = null;
  #enteredMs = this.#startedMs;

  enter(phase: Phase): void {
    if (phase === this.#phase) return;
    const nowMs = performance.now();
    if (this.#phase !== null) {
      this.#seconds.set(this.#phase, (this.#seconds.get(this.#phase) ?? 0) + (nowMs - this.#enteredMs) / 1000);
    }
    [this.#phase, this.#enteredMs] = [phase, nowMs];
  }

  /** Ends the last phase. */
  stop(): { totalSeconds: number; secondsIn: ReadonlyMap<Phase, number> } {
    this.enter('publish');
    return { totalSeconds: (this.#enteredMs - this.#startedMs) / 1000, secondsIn: this.#seconds };
  }
}
