/** One delivery of the queue: claim the job, run it, end it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import { ENGINE_VERSION, quantizeInChild } from '@tritforge/quant-core/process';
import type { Delivery, JobClaim, Store } from '@tritforge/store';
import type { Telemetry } from '@tritforge/telemetry';
import type { Logger } from 'pino';
import type { CheckpointFolders } from './checkpoint-folders.js';
import type { WorkerConfig } from './config.js';
import { fetchInputs } from './job-inputs.js';
import { holdLease, type JobLease } from './job-lease.js';
import { type StagedResult, stageResult } from './job-result.js';
import type { AttemptMetrics, AttemptOutcome, WorkerMetrics } from './metrics/worker-metrics.js';
import type { ScratchRoot } from './scratch-root.js';
import { AttemptTrace } from './traces/attempt-trace.js';
import { untilReachable } from './until-reachable.js';

/** What running jobs takes. */
export interface JobRunner {
  readonly store: Store;
  readonly config: WorkerConfig;
  readonly scratch: ScratchRoot;
  readonly checkpoints: CheckpointFolders;
  readonly logger: Logger;
  readonly workerId: string;
  readonly metrics: WorkerMetrics;
  readonly telemetry: Telemetry;
}

/** What came of an attempt, for the queue and for whoever counts. */
interface Ended {
  readonly delivery: Delivery;
  readonly outcome: AttemptOutcome;
}

/**
 * Runs the job whose turn it is, if there is one, and ends it in exactly one way. A job whose process died, or
 * that met a failure of the service, goes back to the queue until its attempts are used up; a job that the model, the
 * data or the recipe makes fail does not.
 *
 * @param shutdown aborts when this worker is to stop: the job is handed back
 */
export async function runNext(runner: JobRunner, shutdown: AbortSignal): Promise<Delivery> {
  const { store, workerId } = runner;
  const claim = await store.jobs.claimNext({ id: workerId, engineVersion: ENGINE_VERSION });
  if (claim === null) return 'done';
  const trace = new AttemptTrace(runner.telemetry, claim, workerId);
  const logger = runner.logger.child({ jobId: claim.jobId, attempt: claim.attempt, ...trace.logFields });
  logger.info('job started');
  const lease = holdLease(store.jobs, claim, logger);
  const attempt = runner.metrics.begin();
  let outcome: AttemptOutcome = 'dropped';
  try {
    const ended = await runClaimed({ ...runner, logger }, claim, { lease, attempt, trace }, shutdown);
    outcome = ended.outcome;
    return ended.delivery;
  } finally {
    attempt.ended(outcome);
    trace.ended(outcome);
    await lease.end();
    await dropCheckpoints(runner, claim.job.id);
    // What cannot be offered now the next reconciliation offers.
    await store.offerNext().catch(() => {});
  }
}

/** Who is told how an attempt goes. */
interface Watchers {
  readonly lease: JobLease;
  readonly attempt: AttemptMetrics;
  readonly trace: AttemptTrace;
}

async function runClaimed(
  runner: JobRunner,
  claim: JobClaim,
  watchers: Watchers,
  shutdown: AbortSignal,
): Promise<Ended> {
  const { lease, trace } = watchers;
  const signal = AbortSignal.any([lease.signal, shutdown]);
  try {
    return await runner.scratch.withFolder(async (folder) => {
      const result = await produce(runner, claim, folder, watchers, signal);
      return publish(runner, claim, watchers, result);
    });
  } catch (error) {
    await lease.end();
    if (lease.signal.aborted) return abandon(runner.logger);
    if (shutdown.aborted) return handBack(runner, claim);
    return fail(runner, claim, trace, error);
  }
}

async function produce(
  { store, config, checkpoints, logger }: JobRunner,
  claim: JobClaim,
  folder: string,
  { lease, attempt, trace }: Watchers,
  signal: AbortSignal,
): Promise<StagedResult> {
  const startedMs = Date.now();
  const { job } = claim;
  const outputDir = join(folder, 'output');
  await mkdir(outputDir);
  trace.entered('fetchInputs');
  const inputs = await fetchInputs(store, claim, folder);
  trace.left();
  const checkpoint = await checkpoints.open(job.id);
  if (checkpoint.fileCount > 0) logger.info({ files: checkpoint.fileCount }, 'job goes on behind what it has');
  trace.resumes(checkpoint.fileCount);
  const { recipe, metric, gates, deadlineSeconds } = job;
  const report = await quantizeInChild(
    {
      ...inputs,
      recipe,
      metric: metric ?? undefined,
      gates: gates.requested ?? undefined,
      outputDir,
      checkpointDir: checkpoint.path,
      threads: config.jobThreads,
      solverThreads: config.jobSolverThreads,
    },
    {
      limits: {
        memoryBytes: config.jobMemoryBytes,
        scratchBytes: config.jobScratchBytes,
        wallClockMs: Math.max(1, (deadlineSeconds ?? config.jobSeconds) * 1000 - (Date.now() - startedMs)),
      },
      niceness: config.jobNiceness,
      scratchRoot: folder,
      signal,
      onProgress: (progress) => {
        attempt.entered(progress.phase);
        trace.entered(progress.phase);
        lease.report(progress);
      },
    },
  );
  attempt.entered('publish');
  trace.entered('publish');
  const publishing = { phase: 'publish', total: report.artifacts.length, unit: 'artifacts', etaSeconds: 0 } as const;
  lease.report({ ...publishing, done: 0 });
  const staged = await stageResult(store.blobs, job, report, outputDir, lease.signal);
  lease.report({ ...publishing, done: publishing.total });
  return staged;
}

async function publish(
  { store, logger }: JobRunner,
  claim: JobClaim,
  { lease, trace }: Watchers,
  { outcome, send, discard }: StagedResult,
): Promise<Ended> {
  try {
    await untilReachable(logger, send);
    await lease.end();
    if (lease.signal.aborted || !(await untilReachable(logger, () => store.jobs.finish(claim, outcome)))) {
      return abandon(logger);
    }
    logger.info({ state: outcome.state }, 'job ended');
    trace.left();
    if (outcome.state === 'failed') trace.failed(outcome.error.code);
    return { delivery: 'done', outcome: outcome.state };
  } finally {
    await discard();
  }
}

/** What is left behind is removed by a later sweep. */
async function dropCheckpoints({ checkpoints, logger }: JobRunner, jobId: string): Promise<void> {
  try {
    await checkpoints.dropIfEnded(jobId);
  } catch (error) {
    logger.warn({ err: error, jobId }, 'checkpoints could not be removed; it is tried again');
  }
}

function abandon(logger: Logger): Ended {
  logger.info('job dropped: it was canceled or belongs to another worker now');
  return { delivery: 'done', outcome: 'dropped' };
}

async function handBack({ store, logger }: JobRunner, claim: JobClaim): Promise<Ended> {
  const isBack = await store.jobs.release(claim);
  logger.info('job handed back');
  return { delivery: isBack ? 'again' : 'done', outcome: 'handedBack' };
}

async function fail(
  { store, logger }: JobRunner,
  claim: JobClaim,
  trace: AttemptTrace,
  thrown: unknown,
): Promise<Ended> {
  const error = thrown instanceof TritforgeError ? thrown : internalError(thrown);
  const isOurs = error.status >= 500;
  logger[isOurs ? 'error' : 'info']({ err: error, code: error.code }, 'job failed');
  trace.failed(error.code);
  if (error.retryable || !(thrown instanceof TritforgeError)) {
    const state = await untilReachable(logger, () => store.jobs.retry(claim, error.toJSON()));
    if (state === 'queued') return { delivery: 'again', outcome: 'retried' };
    return { delivery: 'done', outcome: state === 'failed' ? 'failed' : 'dropped' };
  }
  await untilReachable(logger, () => store.jobs.finish(claim, { state: 'failed', error: error.toJSON() }));
  return { delivery: 'done', outcome: 'failed' };
}

/** A failure of the service itself; its details are for the log only. */
function internalError(cause: unknown): TritforgeError {
  return new TritforgeError('INTERNAL', 'The service failed while it ran the job.', {
    remediation: 'Try again; the log of the worker says more.',
    cause,
  });
}
