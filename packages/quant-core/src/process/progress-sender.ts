import type { TaskProgress } from './engine-task.js';

const INTERVAL_MS = 100;

/** Passes on each change of phase at once, and else at most ten reports a second; the last one is never lost. */
export class ProgressSender {
  readonly #send: (progress: TaskProgress) => void;
  #phase: string | null = null;
  #sentAtMs = 0;
  #held: TaskProgress | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (progress: TaskProgress) => void) {
    this.#send = send;
  }

  report(progress: TaskProgress): void {
    this.#held = progress;
    const waitMs = this.#sentAtMs + INTERVAL_MS - performance.now();
    if (progress.phase !== this.#phase || waitMs <= 0) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), waitMs);
  }

  /** Sends what is held back. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held === null) return;
    this.#phase = this.#held.phase;
    this.#sentAtMs = performance.now();
    this.#send(this.#held);
    this.#held = null;
  }
}
