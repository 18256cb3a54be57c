import { TritforgeError } from '@tritforge/contracts';

/** Runs at most so many inspections at once; others wait in line, up to a limit. */
export class InspectionQueue {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Runs the work when its turn has come.
   * @param signal aborting it gives up the place in line
   * @throws TritforgeError SERVICE_OVERLOADED when the line is full; the reason of the signal; what the work throws
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maxRunning) await this.#waitForTurn(signal);
    else this.#running++;
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#passOn();
    }
  }

  /** Resolves when an inspection that ends hands its place over. */
  #waitForTurn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new TritforgeError('SERVICE_OVERLOADED', 'Too many uploads wait to be checked', {
        remediation: 'Send the request again after the seconds that Retry-After names.',
      });
    }
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        reject(signal.reason);
      };
      this.#waiting.push(start);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  #passOn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running--;
  }
}
