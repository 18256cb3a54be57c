/** How long to train. */
export type TrainingLength = { readonly epochs: number } | { readonly minutes: number };

/** Which share of a training is done, in epochs or in time, also over several attempts. */
export class TrainingClock {
  readonly #length: TrainingLength;
  readonly #now: () => number;
  readonly #startMs: number;
  #reservedSeconds = 0;

  /**
   * @param spentSeconds by attempts before this one
   * @param now the time in milliseconds
   */
  constructor(length: TrainingLength, spentSeconds = 0, now: () => number = () => performance.now()) {
    this.#length = length;
    this.#now = now;
    this.#startMs = now() - 1000 * spentSeconds;
  }

  /** Since the training began. */
  get seconds(): number {
    return (this.#now() - this.#startMs) / 1000;
  }

  /** Leaves time for what follows the last step: its judgement is part of the time that was given. */
  reserve(seconds: number): void {
    this.#reservedSeconds = Math.max(this.#reservedSeconds, seconds);
  }

  /**
   * From 0 to 1, and beyond when the time is up.
   * @param epoch 1, 2, …
   * @param done share of the steps of the epoch
   */
  share(epoch: number, done: number): number {
    if ('epochs' in this.#length) return (epoch - 1 + done) / this.#length.epochs;
    return this.seconds / Math.max(60 * this.#length.minutes - this.#reservedSeconds, Number.EPSILON);
  }

  /** What is left, as far as it can be told. */
  secondsLeft(epoch: number, done: number): number | null {
    const share = this.share(epoch, done);
    if ('minutes' in this.#length) return Math.max(60 * this.#length.minutes - this.seconds, 0);
    return share > 0 ? this.seconds * (1 / share - 1) : null;
  }
}
