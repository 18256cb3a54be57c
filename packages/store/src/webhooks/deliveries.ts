/**
 * Messages on their way to webhooks.
 *
 *   events of the log  ─▶  one row for each webhook that wants it  ─▶  attempts, until one succeeds or the last has failed
 *
 * Rows and the place in the log up to which there are rows are written in one transaction, so an event is sent once to each webhook
 * (at least once over the network), also when workers die in between.
 */
import { isTerminal, newId, type TraceContext } from '@tritforge/contracts';
import { type Database, Prisma, toJson } from '../database.js';
import { createEventLog, type JobEvent, toEvent } from '../events/event-log.js';
import type { PrismaClient } from '../generated/client.js';
import { toJobs, toTraceContext, WITH_ARTIFACT_IDS } from '../jobs/job-rows.js';
import type { QueueOutlook } from '../jobs/queue-outlook.js';
import { lockUntilEnd } from '../locks.js';
import { ALL_PROJECTS } from '../repositories/reach.js';

/** A message to send now. */
export interface DueDelivery {
  readonly id: string;
  readonly webhookId: string;
  readonly url: string;
  readonly payload: string;
  /** The newest first; each signs. */
  readonly secrets: readonly string[];
  /** 1 for the first. */
  readonly attempt: number;
  /** What sending it is a part of; null where the job was not traced, and for tests. */
  readonly traceContext: TraceContext | null;
}

/** What came of an attempt. */
export interface AttemptResult {
  /** Of the answer; null where there was none. */
  readonly status: number | null;
  readonly error: string | null;
  /** Seconds until the next attempt; null after the last. */
  readonly retryAfterSeconds: number | null;
}

export interface DeliveryQueue {
  /** Writes messages for the next events. Returns for how many events; 0 when there is nothing new. */
  fanOut(): Promise<number>;
  /** Takes messages whose time has come, for a minute. */
  due(limit: number): Promise<DueDelivery[]>;
  succeeded(id: string, status: number): Promise<void>;
  failed(id: string, result: AttemptResult): Promise<void>;
  /** Sends nothing more to a webhook whose receiver answered that it is gone: this message and what was still to be sent have failed. */
  gone(delivery: Pick<DueDelivery, 'id' | 'webhookId'>, status: number): Promise<void>;
  /** Deletes messages that ended long ago. Returns how many. */
  sweep(): Promise<number>;
}

interface DueRow {
  readonly id: string;
  readonly webhook_id: string;
  readonly url: string;
  readonly payload: string;
  readonly secrets: readonly (string | null)[];
  readonly attempts: number;
  readonly trace_context: unknown;
}

const LEASE = Prisma.sql`clock_timestamp() + interval '1 minute'`;
const KEPT = Prisma.sql`interval '30 days'`;
/** The one row, which was made with the table. */
const CURSOR = 1;

export function createDeliveryQueue(db: PrismaClient, queue: QueueOutlook): DeliveryQueue {
  const events = createEventLog(db, ALL_PROJECTS);
  return {
    fanOut: async () => {
      // Events get their places outside the transaction, whose locks then are few.
      const newest = await events.newestId();
      const known = await db.webhookCursor.findUniqueOrThrow({ where: { id: CURSOR } });
      if (known.sequence >= BigInt(newest)) return 0;
      return db.$transaction(async (tx) => {
        await lockUntilEnd(tx, 'messages');
        const from = (await tx.webhookCursor.findUniqueOrThrow({ where: { id: CURSOR } })).sequence;
        const news = await events.read({}, String(from));
        await writeMessages(tx, queue, news);
        const sequence = BigInt(news.at(-1)?.id ?? from);
        await tx.webhookCursor.update({ where: { id: CURSOR }, data: { sequence } });
        return news.length;
      });
    },
    due: async (limit) => {
      const rows = await db.$queryRaw<DueRow[]>`
        WITH due AS (
          SELECT webhook_deliveries.id FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id
          WHERE state = 'pending' AND next_attempt_at <= clock_timestamp() AND disabled_at IS NULL
            AND (lease_until IS NULL OR lease_until < clock_timestamp())
          ORDER BY next_attempt_at LIMIT ${limit} FOR UPDATE OF webhook_deliveries SKIP LOCKED
        )
        UPDATE webhook_deliveries SET lease_until = ${LEASE}, attempts = attempts + 1
        FROM due, webhooks WHERE webhook_deliveries.id = due.id AND webhooks.id = webhook_id
        RETURNING webhook_deliveries.id, webhook_id, url, payload, attempts, trace_context,
          ARRAY[secret, CASE WHEN former_until > clock_timestamp() THEN former_secret END] AS secrets`;
      return rows.map(({ id, webhook_id, url, payload, secrets, attempts, trace_context }) => ({
        id,
        webhookId: webhook_id,
        url,
        payload,
        secrets: secrets.flatMap((secret) => secret ?? []),
        attempt: attempts,
        traceContext: toTraceContext(trace_context),
      }));
    },
    succeeded: async (id, status) => {
      await db.webhookDelivery.updateMany({
        where: { id },
        data: { state: 'delivered', lastStatus: status, lastError: null, leaseUntil: null, deliveredAt: new Date() },
      });
    },
    failed: async (id, { status, error, retryAfterSeconds }) => {
      const next =
        retryAfterSeconds === null
          ? Prisma.sql`state = 'failed'`
          : Prisma.sql`next_attempt_at = clock_timestamp() + make_interval(secs => ${retryAfterSeconds}::double precision)`;
      await db.$executeRaw`
        UPDATE webhook_deliveries SET ${next}, lease_until = NULL, last_status = ${status}, last_error = ${error} WHERE id = ${id}`;
    },
    gone: async ({ id, webhookId }, status) => {
      const failed = { state: 'failed', lastError: 'the receiver said that it is gone', leaseUntil: null } as const;
      await db.$transaction([
        db.webhook.updateMany({ where: { id: webhookId, disabledAt: null }, data: { disabledAt: new Date() } }),
        db.webhookDelivery.updateMany({ where: { webhookId, state: 'pending' }, data: failed }),
        db.webhookDelivery.updateMany({ where: { id }, data: { lastStatus: status } }),
      ]);
    },
    sweep: () =>
      db.$executeRaw`DELETE FROM webhook_deliveries WHERE state <> 'pending' AND created_at < clock_timestamp() - ${KEPT}`,
  };
}

/**
 * Writes messages for those events of jobs that have none yet, within the transaction that deletes the jobs and so their events. The events
 * have their places.
 */
export async function writeLastMessages(tx: Database, queue: QueueOutlook, jobIds: readonly string[]): Promise<void> {
  const unsaid = async () => {
    const { sequence } = await tx.webhookCursor.findUniqueOrThrow({ where: { id: CURSOR } });
    const where = { jobId: { in: [...jobIds] }, sequence: { gt: sequence } };
    return tx.jobEvent.findMany({ where, orderBy: { sequence: 'asc' } });
  };
  // Most jobs ended long ago, and need no lock.
  if ((await unsaid()).length === 0) return;
  await lockUntilEnd(tx, 'messages');
  await writeMessages(tx, queue, (await unsaid()).map(toEvent));
}

async function writeMessages(tx: Database, queue: QueueOutlook, events: readonly JobEvent[]): Promise<void> {
  const changes = events.filter(({ from, to }) => from !== to);
  if (changes.length === 0 || (await tx.webhook.findFirst({ where: { disabledAt: null } })) === null) return;
  const rows = await tx.job.findMany({
    where: { id: { in: changes.map(({ jobId }) => jobId) } },
    include: WITH_ARTIFACT_IDS,
  });
  const jobs = new Map((await toJobs(tx, queue, rows)).map((job) => [job.id, job]));
  const projects = new Map(rows.map(({ id, projectId }) => [id, projectId]));
  const traces = new Map(rows.map(({ id, traceContext }) => [id, traceContext]));
  const webhooks = await tx.webhook.findMany({
    where: { projectId: { in: [...projects.values()] }, disabledAt: null },
  });
  const data = changes.flatMap((event) => {
    const type = `job.${event.to}`;
    const job = jobs.get(event.jobId);
    if (job === undefined) return [];
    // What is known by now may be more than the event says, except its state.
    const ended = isTerminal(event.to) ? job : { ...job, state: event.to, phase: null, progress: null };
    const payload = JSON.stringify({ type, timestamp: event.at, data: ended });
    const trace = traces.get(event.jobId) ?? null;
    const traceContext = trace === null ? Prisma.DbNull : toJson(trace);
    return webhooks
      .filter(({ projectId, eventTypes, createdAt }) => {
        const wants = projectId === projects.get(event.jobId) && eventTypes.includes(type);
        return wants && createdAt.toISOString() <= event.at;
      })
      .map((webhook) => ({
        id: newId('delivery'),
        webhookId: webhook.id,
        sequence: BigInt(event.id),
        type,
        payload,
        traceContext,
      }));
  });
  await tx.webhookDelivery.createMany({ data, skipDuplicates: true });
}
