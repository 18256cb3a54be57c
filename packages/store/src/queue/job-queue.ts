import type { Queue } from 'bullmq';

/** What became of one delivery: `done` takes it off the queue, `again` puts it back for any worker. */
export type Delivery = 'done' | 'again';

export interface ConsumeOptions {
  /** How many handlers run at once in this process. */
  readonly concurrency: number;
  /**
   * Called once per delivery. A delivery says that a job waits; which one is next the rows decide (see `JobRepository.claimNext`),
   * and there may be none, since a delivery can come twice. It should not throw for a job that fails; a throw is reported to `onError` and the
   * delivery is over. `signal` aborts when the consumer closes: hand the job back and return `again`.
   */
  readonly handler: (jobId: string, signal: AbortSignal) => Promise<Delivery>;
  /** Receives errors of the connection and of handlers; the consumer goes on. */
  readonly onError?: (error: Error) => void;
}

export interface Consumer {
  /** Takes no new deliveries, aborts the signal of running handlers and waits for them. */
  close(): Promise<void>;
}

/** Dispatches job ids to workers, at least once each. The truth about a job is its row. */
export interface JobQueue {
  /** `postgres` or `redis`. */
  readonly backend: 'postgres' | 'redis';
  /** The queue as the library has it, for who shows what lies on Redis; null where it lies in PostgreSQL. Nothing else may work on it. */
  readonly onRedis: Queue | null;
  /**
   * Puts a job on the queue; does nothing when it is there already, waiting or being handled.
   * `first` puts it before the others: a job that comes back keeps its turn.
   */
  add(jobId: string, options?: { first?: boolean }): Promise<void>;
  /** Takes a waiting job off the queue; does nothing when it is not there or is being handled. */
  remove(jobId: string): Promise<void>;
  /** Starts to handle deliveries; resolves when the consumer is connected. */
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** Number of jobs that wait and that are being handled. */
  counts(): Promise<{ waiting: number; active: number }>;
  /** @throws when the backend does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
