import type { Job } from '@tritforge/contracts';
import type { BlobStorage } from './blobs/blob-storage.js';
import type { JobRepository, NewJob, SweptJobs } from './jobs/job-repository.js';
import type { JobQueue } from './queue/job-queue.js';
import type { ArtifactRepository } from './repositories/artifacts.js';
import type { DatasetRepository } from './repositories/datasets.js';
import type { ModelRepository } from './repositories/models.js';

export interface StoreConfig {
  /** `postgresql://user:password@host:port/database`; its migrations must be deployed (`deployMigrations`). */
  readonly databaseUrl: string;
  /** `redis://…` or `rediss://…`; without it jobs are dispatched through the database. */
  readonly redisUrl?: string | null;
  /** Directory of the blobs; created when missing. All processes of one service share it. */
  readonly blobDir: string;
  /** Prefix of the queue's keys and its schema, `tritforge` by default; for several services on one server. */
  readonly queuePrefix?: string;
  /** Attempts of a job before it fails with JOB_CRASHED; 3 by default. */
  readonly maxAttempts?: number;
  /** How long a claim lives without a heartbeat; 10 s by default. Renew it five times in that span. */
  readonly leaseMs?: number;
}

/** One part of the store in a readiness check. */
export interface Check {
  readonly name: 'database' | 'queue' | 'blobs';
  readonly ok: boolean;
  readonly durationMs: number;
  /** Why it is not ok. */
  readonly message: string | null;
}

/** What a reconciliation changed. */
export interface Reconciled extends SweptJobs {
  /** Queued rows that were put on the queue; most of them were there already. */
  readonly offered: number;
}

/** Everything that API and workers keep: rows, bytes and the queue. */
export interface Store {
  readonly models: ModelRepository;
  readonly datasets: DatasetRepository;
  readonly jobs: JobRepository;
  readonly artifacts: ArtifactRepository;
  readonly blobs: BlobStorage;
  readonly queue: JobQueue;
  /**
   * Writes the row of a job, then puts it on the queue. When the queue cannot be reached the job is kept and
   * `reconcile` dispatches it later.
   */
  submitJob(job: NewJob): Promise<Job>;
  /** `jobs.cancel`, and takes the job off the queue. */
  cancelJob(id: string): Promise<Job>;
  /**
   * Repairs what crashes left behind: running jobs without a worker are queued again (or fail), queued jobs that are
   * missing from the queue are put there. Cheap; any number of workers may call it, every 5 s or so.
   */
  reconcile(): Promise<Reconciled>;
  /** Deletes blobs that no row refers to, which a crash between file and row can leave. Returns their number. */
  sweepBlobs(): Promise<number>;
  /** Checks every part; never throws. */
  ping(): Promise<Check[]>;
  close(): Promise<void>;
}

/** Connects to everything. @throws TritforgeError SERVICE_UNAVAILABLE when a part cannot be reached. */
export async function openStore(config: StoreConfig): Promise<Store> {
  throw new Error(`cannot open ${config.blobDir}: the store is being built`);
}

