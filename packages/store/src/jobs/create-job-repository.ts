import { type Job, type Report, TritforgeError } from '@tritforge/contracts';
import { type Connection, type Database, Prisma } from '../database.js';
import { endOf } from '../repositories/expiry.js';
import { readPage } from '../repositories/page.js';
import { ALL_PROJECTS, projectOf, type Reach, within } from '../repositories/reach.js';
import { type AttemptLimits, createAttempts } from './attempts.js';
import { nextJobs, takeTurns } from './fair-order.js';
import { insertJob, storableLabels } from './insert-job.js';
import type { JobClaim, JobDesk, JobFilter, JobRepository, Worker } from './job-repository.js';
import { toJob, toJobs, toTraceContext, WITH_ARTIFACT_IDS } from './job-rows.js';
import type { QueueOutlook } from './queue-outlook.js';
import { ended, transition } from './transition.js';

/** Jobs that a worker tries to claim: one whose attempts are used up ends instead. */
const CANDIDATES = 8;

/** What whoever sends jobs may do with those of a project. */
export function createJobDesk(db: Connection, queue: QueueOutlook, reach: Reach): JobDesk {
  const get = (id: string): Promise<Job | null> => readJob(db, queue, reach, id);
  return {
    get,
    create: (job, once) => insertJob(db.statements, queue, projectOf(reach), job, once),
    list: async (filter = {}, request = {}) => {
      const page = await readPage(request, async (take, below) => {
        const ids = await selectIds(db, reach, filter, below.id?.lt ?? null, take);
        return db.job.findMany({ where: { id: { in: ids } }, orderBy: { id: 'desc' }, include: WITH_ARTIFACT_IDS });
      });
      return { ...page, items: await toJobs(db, queue, page.items) };
    },
    keepFor: async (id, seconds) => {
      await db.$executeRaw`
        UPDATE jobs SET expires_at = ${endOf(seconds)}, kept_seconds = ${seconds}::int WHERE id = ${id} AND ${within(reach)}`;
      return (await get(id)) ?? notFound(id);
    },
    getReport: async (jobId) => {
      const row = await db.jobReport.findFirst({ where: { jobId, job: reach } });
      return row && (row.report as unknown as Report);
    },
    cancelQueued: (id) =>
      transition(db, { id, when: Prisma.sql`state = 'queued' AND ${within(reach)}`, to: 'canceled', set: ended(null) }),
    cancel: async (id) => {
      const when = Prisma.sql`state IN ('queued', 'running') AND ${within(reach)}`;
      await transition(db, { id, when, to: 'canceled', set: ended(null) });
      const job = (await get(id)) ?? notFound(id);
      if (job.state === 'canceled') return job;
      throw new TritforgeError('JOB_ALREADY_ENDED', `The job ${id} has ended: it ${job.state}.`, {
        remediation: 'There is nothing to cancel.',
      });
    },
  };
}

function notFound(id: string): never {
  throw new TritforgeError('JOB_NOT_FOUND', `There is no job ${id}.`);
}

/** Jobs of all projects, as whoever runs them sees them. */
export function createJobRepository(db: Connection, queue: QueueOutlook, limits: AttemptLimits): JobRepository {
  const { start, ...attempts } = createAttempts(db, limits);
  const desk = createJobDesk(db, queue, ALL_PROJECTS);
  const claim = async (tx: Database, id: string, worker: Worker): Promise<JobClaim | null> => {
    const token = await start(tx, id, worker);
    const row = token && (await tx.job.findUnique({ where: { id }, include: WITH_ARTIFACT_IDS }));
    if (!token || !row) return null;
    const { attempts: attempt, projectId, traceContext } = row;
    return { jobId: id, token, attempt, projectId, traceContext: toTraceContext(traceContext), job: toJob(row, null) };
  };
  return {
    ...desk,
    ...attempts,
    claim: (id, worker) => claim(db, id, worker),
    claimNext: (worker) =>
      db.$transaction(async (tx) => {
        await takeTurns(tx);
        for (const id of await nextJobs(tx, CANDIDATES)) {
          const claimed = await claim(tx, id, worker);
          if (claimed !== null) return claimed;
        }
        return null;
      }),
    listQueued: async (minAgeMs, limit) => {
      const rows = await db.$queryRaw<{ id: string }[]>`
        SELECT id FROM jobs
        WHERE state = 'queued' AND queued_at <= now() - make_interval(secs => ${minAgeMs / 1000}::double precision)
        ORDER BY id LIMIT ${limit}`;
      return rows.map((row) => row.id);
    },
  };
}

async function readJob(db: Database, queue: QueueOutlook, reach: Reach, id: string): Promise<Job | null> {
  const row = await db.job.findFirst({ where: { id, ...reach }, include: WITH_ARTIFACT_IDS });
  return row && ((await toJobs(db, queue, [row]))[0] ?? null);
}

/** Prisma cannot ask for JSON that contains other JSON, which the index on labels answers. */
async function selectIds(
  db: Database,
  reach: Reach,
  filter: JobFilter,
  belowId: string | null,
  limit: number,
): Promise<string[]> {
  const { states, modelId, labels } = filter;
  const conditions = [
    within(reach),
    ...(belowId === null ? [] : [Prisma.sql`id < ${belowId}`]),
    ...(states ? [Prisma.sql`state = ANY(${[...states]}::job_state[])`] : []),
    ...(modelId === undefined ? [] : [Prisma.sql`model_id = ${modelId}`]),
    ...(labels ? [Prisma.sql`labels @> ${JSON.stringify(storableLabels(labels))}::jsonb`] : []),
  ];
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT id FROM jobs WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY id DESC LIMIT ${limit}`;
  return rows.map((row) => row.id);
}
