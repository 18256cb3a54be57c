import type { TaskProgress } from '@tritforge/quant-core/process';
import type { JobClaim, JobRepository } from '@tritforge/store';
import type { Logger } from 'pino';

/** Bounds how long a canceled job goes on. */
const INTERVAL_MS = 250;

/** Keeps a claim alive, passes progress on, and tells when the job is no longer ours. */
export interface JobLease {
  /** Aborts when the job was canceled or the claim is lost. */
  readonly signal: AbortSignal;
  /** Stores the newest progress with the next renewal; a change of phase is stored at once, and none is left out. */
  report(progress: TaskProgress): void;
  /** Stores what is left of the progress and ends the renewals. */
  end(): Promise<void>;
}

type Update = NonNullable<Parameters<JobRepository['heartbeat']>[1]>;

/** Begins to renew a claim. A renewal that fails is logged and tried again: the claim outlives a few of them. */
export function holdLease(jobs: JobRepository, claim: JobClaim, logger: Logger): JobLease {
  const lease = new Lease(jobs, claim, logger);
  const renewals = lease.keep();
  return {
    signal: lease.lost.signal,
    report: (progress) => lease.report(progress),
    end: () => {
      lease.stop();
      return renewals;
    },
  };
}

class Lease {
  readonly lost = new AbortController();
  readonly #jobs: JobRepository;
  readonly #claim: JobClaim;
  readonly #logger: Logger;
  /** Updates that are not stored yet: at most one for each phase. */
  readonly #pending: Update[] = [];
  #storedPhase: string | null = null;
  #hasEnded = false;
  #wake = () => {};

  constructor(jobs: JobRepository, claim: JobClaim, logger: Logger) {
    this.#jobs = jobs;
    this.#claim = claim;
    this.#logger = logger;
  }

  async keep(): Promise<void> {
    while (!this.lost.signal.aborted && !(this.#hasEnded && this.#pending.length === 0)) {
      const renewed = await this.#renew();
      if (this.#hasEnded && !renewed) return;
      const hasNewPhase = this.#pending.length > 0 && this.#pending[0]?.phase !== this.#storedPhase;
      if (!this.#hasEnded && !(renewed && hasNewPhase)) await this.#pause();
    }
  }

  report({ phase, ...progress }: TaskProgress): void {
    const isNewPhase = (this.#pending.at(-1)?.phase ?? this.#storedPhase) !== phase;
    if (!isNewPhase) this.#pending.pop();
    this.#pending.push({ phase, progress });
    if (isNewPhase) this.#wake();
  }

  stop(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  /** False when the store could not be reached. */
  async #renew(): Promise<boolean> {
    const update = this.#pending.shift();
    try {
      if (!(await this.#jobs.heartbeat(this.#claim, update))) this.lost.abort();
      if (update !== undefined) this.#storedPhase = update.phase;
      return true;
    } catch (error) {
      if (update !== undefined) this.#pending.unshift(update);
      this.#logger.warn({ err: error }, 'the lease of the job could not be renewed');
      return false;
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, INTERVAL_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
