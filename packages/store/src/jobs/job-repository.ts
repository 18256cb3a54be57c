import type {
  Gates,
  Job,
  JobDatasets,
  JobState,
  Metric,
  Phase,
  Progress,
  Recipe,
  Report,
  SerializedError,
  TraceContext,
} from '@tritforge/contracts';
import type { Once } from '../once/once.js';
import type { NewArtifact } from '../repositories/artifacts.js';
import type { Page, PageRequest } from '../repositories/page.js';

export interface NewJob {
  /** The key that it is sent with. */
  readonly keyId?: string | undefined;
  readonly modelId: string;
  readonly recipe: Recipe;
  readonly datasets?: JobDatasets | undefined;
  readonly metric?: Metric | null | undefined;
  readonly gates?: Gates | null | undefined;
  readonly deadlineSeconds?: number | null | undefined;
  readonly startWithinSeconds?: number | null | undefined;
  /** How long it is kept after its end; kept until somebody deletes it when left out. */
  readonly expiresInSeconds?: number | null | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** What attempts at it, and what webhooks are told of it, are parts of. */
  readonly traceContext?: TraceContext | null | undefined;
}

export interface JobFilter {
  readonly states?: readonly JobState[] | undefined;
  readonly modelId?: string | undefined;
  /** Jobs that carry all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** The right to run a job, until the lease runs out without a heartbeat or somebody cancels the job. */
export interface JobClaim {
  readonly jobId: string;
  /** Secret of this attempt; every change by a worker names it. */
  readonly token: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  readonly projectId: string;
  /** Where in a trace the job was sent; null where nothing was traced. */
  readonly traceContext: TraceContext | null;
  readonly job: Job;
}

export interface Worker {
  readonly id: string;
  readonly engineVersion: string;
}

/** How a run ended. A failed gate is `failed` with a report and artifacts. */
export type Outcome =
  | { readonly state: 'succeeded'; readonly report: Report; readonly artifacts: readonly NewArtifact[] }
  | {
      readonly state: 'failed';
      readonly error: SerializedError;
      readonly report?: Report | undefined;
      readonly artifacts?: readonly NewArtifact[] | undefined;
    };

/** What a sweep over the rows changed. */
export interface SweptJobs {
  /** Rows that went back to `queued`: their worker is gone. */
  readonly requeued: string[];
  /**
   * Rows that failed: with JOB_CRASHED when their last attempt is used up, with JOB_DEADLINE_EXCEEDED when their deadline is long
   * over although a worker still holds them.
   */
  readonly failed: string[];
  /** Rows that no worker started in time. */
  readonly expired: string[];
}

/** Jobs for whoever sends them. */
export interface JobDesk {
  /**
   * Writes a queued job; dispatching it is up to `Store.submitJob`.
   *
   * @param once the claim of the request that asks for it: its answer is kept together with the row
   * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND, QUOTA_EXCEEDED, IDEMPOTENCY_IN_PROGRESS where the claim has gone to another
   *   request
   */
  create(job: NewJob, once?: Once<Job>): Promise<Job>;
  get(id: string): Promise<Job | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(filter?: JobFilter, page?: PageRequest): Promise<Page<Job>>;
  /**
   * Keeps the job for so many seconds from now, or from its end where it has not ended; until somebody deletes it where that is null.
   * @throws TritforgeError JOB_NOT_FOUND
   */
  keepFor(id: string, seconds: number | null): Promise<Job>;
  /** The report of a job that has one, or null. */
  getReport(id: string): Promise<Report | null>;
  /**
   * Cancels a queued or running job at once; its worker learns it from the next heartbeat. A canceled job stays as it is.
   *
   * @throws TritforgeError JOB_NOT_FOUND, JOB_ALREADY_ENDED
   */
  cancel(id: string): Promise<Job>;
  /** The same for a job that is queued, and false for one that is not. */
  cancelQueued(id: string): Promise<boolean>;
}

/**
 * Jobs and the only way to change them. Each transition is one conditional UPDATE that names the states it may leave,
 * so that of two that race exactly one happens; a terminal state is never left.
 */
export interface JobRepository extends JobDesk {
  /**
   * Starts an attempt: a queued job, or a running one whose lease ran out, becomes `running` for this worker. Null when
   * there is nothing to do: it has ended, runs elsewhere, or its attempts are used up (it then fails with JOB_CRASHED).
   */
  claim(id: string, worker: Worker): Promise<JobClaim | null>;
  /** Starts an attempt of the job whose turn it is (see fair-order.ts). Null when there is none. */
  claimNext(worker: Worker): Promise<JobClaim | null>;
  /**
   * Renews the lease and, when given, stores phase and progress. False when the claim is lost or the job was canceled:
   * stop the work at once and drop its result.
   */
  heartbeat(claim: JobClaim, update?: { phase: Phase; progress: Progress | null }): Promise<boolean>;
  /**
   * Ends the job; artifacts (publishing their files), report and state come in one transaction. False, with nothing
   * written, when the claim is lost or the job was canceled; discard the staged files then.
   */
  finish(claim: JobClaim, outcome: Outcome): Promise<boolean>;
  /** Hands a running job back, as a worker that shuts down does; the attempt does not count. False as in `finish`. */
  release(claim: JobClaim): Promise<boolean>;
  /**
   * Ends an attempt whose process died. The job is queued again, or fails with `error` once its attempts are used up.
   * Returns its new state, or null when the claim is lost or the job was canceled.
   */
  retry(claim: JobClaim, error: SerializedError): Promise<'queued' | 'failed' | null>;
  /** Requeues or fails running jobs whose lease ran out, and fails those long past their deadline. */
  sweep(): Promise<SweptJobs>;
  /** Ids of queued jobs that have waited for at least `minAgeMs`, oldest first. */
  listQueued(minAgeMs: number, limit: number): Promise<string[]>;
}
