import { TritforgeError } from '@tritforge/contracts';
import type { Queue } from 'bullmq';
import { createProducer, createWorker, type QueueConfig, type QueueTiming } from './backend.js';
import type { ConsumeOptions, Consumer, Delivery, JobQueue } from './job-queue.js';

const TIMING: QueueTiming = { lockMs: 10_000, readyMs: 20_000, answerMs: 5_000 };
/** How often consumers look, while a lock lasts, for deliveries that have lost theirs. */
const CHECKS_PER_LOCK = 4;
/** How long an idle consumer relies on being woken, which a connection that breaks unnoticed prevents. */
const LOOK_AGAIN_SECONDS = 1;
/** How soon a consumer asks again after its server was away. */
const RETRY_DELAY_MS = 500;
/** The row of a job counts its attempts; the queue delivers as often as it takes. */
const MAX_STALLED = 1_000_000;

const unavailable = (cause: unknown): TritforgeError =>
  new TritforgeError('SERVICE_UNAVAILABLE', 'The job queue cannot be reached.', {
    remediation: 'Try again; the operator finds the reason in the log of the service.',
    cause,
  });

/** Ends the wait for a server that does not answer. */
async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } catch (error) {
    throw unavailable(error);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Opens the queue on Redis or PostgreSQL.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE
 */
export async function openQueue(config: QueueConfig): Promise<JobQueue> {
  const { readyMs, answerMs } = { ...TIMING, ...config.timing };
  const answered = <T>(work: Promise<T>): Promise<T> => within(answerMs, work);
  const queue = createProducer(config);
  // Each call reports its own failure; without a listener an idle connection that drops would end the process.
  queue.on('error', () => {});
  await within(readyMs, queue.waitUntilReady()).catch(async (error) => {
    await queue.close().catch(() => {});
    throw error;
  });
  return {
    backend: config.redisUrl === null ? 'postgres' : 'redis',
    onRedis: config.redisUrl === null ? null : queue,
    add: async (jobId, { first = false } = {}) => {
      await answered(put(queue, jobId, first));
    },
    // It throws when the job is being handled, and then there is nothing to take off.
    remove: async (jobId) => {
      await answered(queue.remove(jobId).catch(() => 0));
    },
    counts: async () => {
      const counts = await answered(queue.getJobCounts('waiting', 'active'));
      return { waiting: counts.waiting ?? 0, active: counts.active ?? 0 };
    },
    ping: async () => {
      await answered(queue.getJobCounts('active'));
    },
    consume: (consumeOptions) => startConsumer(config, queue, consumeOptions),
    close: () => queue.close(),
  };
}

/** The queue's own id is the job's, so that a job is there once; it leaves no trace, so that it can come back. */
async function put(queue: Queue, jobId: string, first: boolean): Promise<void> {
  await queue.add('run', {}, { jobId, lifo: first, removeOnComplete: true, removeOnFail: true });
}

async function startConsumer(config: QueueConfig, queue: Queue, options: ConsumeOptions): Promise<Consumer> {
  const { concurrency, handler, onError = () => {} } = options;
  const { lockMs } = { ...TIMING, ...config.timing };
  const closing = new AbortController();
  // A delivery may arrive while the consumer closes.
  const handle = async ({ id }: { id?: string | undefined }): Promise<Delivery> =>
    closing.signal.aborted ? 'again' : handler(String(id), closing.signal);
  const worker = createWorker<Delivery>(config, handle, {
    concurrency,
    runRetryDelay: RETRY_DELAY_MS,
    drainDelay: LOOK_AGAIN_SECONDS,
    lockDuration: lockMs,
    stalledInterval: lockMs / CHECKS_PER_LOCK,
    maxStalledCount: MAX_STALLED,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  worker.on('error', onError);
  worker.on('failed', (_, error) => onError(error));
  const returning = new Set<Promise<void>>();
  worker.on('completed', (delivery, result) => {
    if (result !== 'again') return;
    const returned = put(queue, String(delivery.id), true)
      .catch(onError)
      .finally(() => returning.delete(returned));
    returning.add(returned);
  });
  await worker.waitUntilReady();
  return {
    close: async () => {
      closing.abort();
      await worker.close();
      await Promise.all(returning);
    },
  };
}
