/** START HERE: takes jobs off the queue and runs each in a process of its own. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Store } from '@tritforge/store';
import { NO_TELEMETRY, type Telemetry } from '@tritforge/telemetry';
import type { Logger } from 'pino';
import { checkpointFolders } from './checkpoint-folders.js';
import type { WorkerConfig } from './config.js';
import { serveMetrics } from './metrics/serve-metrics.js';
import { WorkerMetrics } from './metrics/worker-metrics.js';
import { runNext } from './run-job.js';
import { makeScratchRoot } from './scratch-root.js';
import { dispatchWebhooks } from './webhooks/dispatch.js';

const LONGEST_RECONCILE_INTERVAL_MS = 5000;
const SWEEP_INTERVAL_MS = 3600_000;
const WEBHOOK_INTERVAL_MS = 1000;
const WEBHOOK_TIMEOUT_MS = 15_000;

/** What a worker runs on. */
export interface WorkerDeps {
  readonly store: Store;
  readonly config: WorkerConfig;
  readonly logger: Logger;
  /** Nothing is traced when left out. */
  readonly telemetry?: Telemetry;
  /** Time between two looks for jobs that crashes left behind; half a lease, and at most 5 s, when left out. */
  readonly reconcileIntervalMs?: number;
}

/** A worker that runs. */
export interface RunningWorker {
  /** Where it answers `GET /metrics`; null where it does not. */
  readonly metricsPort: number | null;
  /** Takes no new jobs, stops the running ones and hands them back. */
  close(): Promise<void>;
}

/** Starts to take jobs. @throws when the queue cannot be reached */
export async function startWorker(deps: WorkerDeps): Promise<RunningWorker> {
  const { store, config, logger, telemetry = NO_TELEMETRY } = deps;
  const usualIntervalMs = Math.min(LONGEST_RECONCILE_INTERVAL_MS, (config.jobLeaseSeconds * 1000) / 2);
  const { reconcileIntervalMs = usualIntervalMs } = deps;
  const scratch = await makeScratchRoot(join(config.dataDir, 'work'));
  const workerId = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const checkpoints = checkpointFolders(join(config.dataDir, 'checkpoints'), store);
  const metrics = new WorkerMetrics(config.concurrency);
  const runner = { store, config, logger, scratch, checkpoints, workerId, metrics, telemetry };
  const { metricsPort, metricsHost } = config;
  const metricsServer = metricsPort === null ? null : await serveMetrics(metrics.registry, metricsHost, metricsPort);
  if (metricsServer !== null) logger.info({ host: metricsHost, port: metricsServer.port }, 'metrics are served');

  const maintenance = repeat(reconcileIntervalMs, async () => {
    try {
      const { requeued, failed, expired } = await store.reconcile();
      if (expired.length > 0) logger.info({ expired }, 'jobs expired before a worker was free');
      if (requeued.length + failed.length > 0) {
        logger.warn({ requeued, failed }, 'cleaned up after workers that are gone');
      }
      const uploads = await store.sweepUploads();
      if (uploads > 0) logger.info({ uploads }, 'deleted uploads that have expired');
      const { jobs, models, datasets } = await store.sweepExpired();
      if (jobs + models + datasets > 0) logger.info({ jobs, models, datasets }, 'deleted what has expired');
      await scratch.refresh();
    } catch (error) {
      logger.warn({ err: error }, 'maintenance failed; it is tried again');
    }
  });
  const sweeping = repeat(SWEEP_INTERVAL_MS, async () => {
    try {
      const deleted = await store.sweepBlobs();
      if (deleted > 0) logger.info({ deleted }, 'deleted files that no row refers to');
      await store.sweepRequests();
      await store.sweepPastRuns();
      await store.deliveries.sweep();
      await checkpoints.sweep();
      const parts = await store.sweepBucketUploads();
      if (parts > 0) logger.info({ parts }, 'deleted uploads to the bucket that no row refers to');
    } catch (error) {
      logger.warn({ err: error }, 'unused files could not be deleted; it is tried again');
    }
  });
  const closing = new AbortController();
  const webhooks = repeat(WEBHOOK_INTERVAL_MS, async () => {
    try {
      const options = { allowPrivate: config.webhookTargets === 'any', timeoutMs: WEBHOOK_TIMEOUT_MS };
      const { deliveries } = store;
      await dispatchWebhooks({ deliveries, logger, options, metrics, telemetry, signal: closing.signal });
    } catch (error) {
      logger.warn({ err: error }, 'webhooks could not be sent; it is tried again');
    }
  });
  const consumer = await store.queue.consume({
    concurrency: config.concurrency,
    handler: (_, signal) => runNext(runner, signal),
    onError: (error) => logger.error({ err: error }, 'queue error'),
  });
  logger.info({ workerId, queue: store.queue.backend, concurrency: config.concurrency }, 'worker started');
  return {
    metricsPort: metricsServer?.port ?? null,
    close: async () => {
      closing.abort();
      await consumer.close();
      await Promise.all([maintenance.end(), sweeping.end(), webhooks.end()]);
      await scratch.remove();
      await metricsServer?.close();
      logger.info('worker stopped');
    },
  };
}

/** Runs `work`, which must not throw, now and again after each interval, never twice at once. */
function repeat(intervalMs: number, work: () => Promise<void>): { end(): Promise<void> } {
  let running: Promise<void> | null = null;
  const run = () => {
    running ??= work().finally(() => {
      running = null;
    });
  };
  run();
  const timer = setInterval(run, intervalMs);
  return {
    end: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
