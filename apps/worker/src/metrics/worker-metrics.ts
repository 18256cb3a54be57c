import type { Phase } from '@tritforge/contracts';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** From uploads of small models to trainings of a day. */
const SECONDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600];

/**
 * How an attempt at a job ended on a worker. `retried` goes back to the queue after a failure of the service, `handedBack` because the
 * worker stops; `dropped` was canceled or had become another worker's.
 */
export type AttemptOutcome = 'succeeded' | 'failed' | 'retried' | 'handedBack' | 'dropped';

/** An attempt that is under way. */
export interface AttemptMetrics {
  entered(phase: Phase): void;
  /** Called once. */
  ended(outcome: AttemptOutcome): void;
}

/** What Prometheus reads of a worker process: itself, the jobs that it runs and ran, and the webhooks that it sends. */
export class WorkerMetrics {
  readonly registry = new Registry();
  readonly #running = new Gauge({
    name: 'tritforge_worker_jobs_running',
    help: 'Jobs that this worker runs now.',
    registers: [this.registry],
  });
  readonly #attempts = new Histogram({
    name: 'tritforge_worker_job_seconds',
    help: 'Time of attempts at jobs, by how they ended.',
    labelNames: ['outcome'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly #phases = new Histogram({
    name: 'tritforge_worker_phase_seconds',
    help: 'Time that jobs spent in their phases.',
    labelNames: ['phase'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  readonly #webhooks = new Counter({
    name: 'tritforge_worker_webhook_attempts_total',
    help: 'Messages sent to webhooks, by whether they were received.',
    labelNames: ['outcome'],
    registers: [this.registry],
  });

  constructor(concurrency: number) {
    collectDefaultMetrics({ register: this.registry });
    const slots = new Gauge({
      name: 'tritforge_worker_slots',
      help: 'Jobs that this worker can run at once.',
      registers: [this.registry],
    });
    slots.set(concurrency);
  }

  begin(): AttemptMetrics {
    this.#running.inc();
    const endAttempt = this.#attempts.startTimer();
    let phase: { readonly name: Phase; readonly end: () => void } | null = null;
    return {
      entered: (name) => {
        if (phase?.name === name) return;
        phase?.end();
        phase = { name, end: this.#phases.startTimer({ phase: name }) };
      },
      ended: (outcome) => {
        phase?.end();
        endAttempt({ outcome });
        this.#running.dec();
      },
    };
  }

  webhookSent(outcome: 'received' | 'failed'): void {
    this.#webhooks.inc({ outcome });
  }
}
