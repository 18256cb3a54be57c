import { DATASET_ROLES, type Job, newId, type Report, TritforgeError } from '@tritforge/contracts';
import { type Database, Prisma, storableText, toJson } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { lockForUse } from '../repositories/job-references.js';
import { readPage } from '../repositories/page.js';
import { type AttemptLimits, createAttempts } from './attempts.js';
import type { JobFilter, JobRepository, NewJob } from './job-repository.js';
import { toJobs, WITH_ARTIFACT_IDS } from './job-rows.js';
import { ended, transition } from './transition.js';

const MAX_EVENTS = 1000;

export function createJobRepository(db: PrismaClient, limits: AttemptLimits): JobRepository {
  const { start, ...attempts } = createAttempts(db, limits);
  const get = (id: string): Promise<Job | null> => readJob(db, id);
  return {
    ...attempts,
    get,
    create: (job) => db.$transaction((tx) => insertJob(tx, job)),
    list: async (filter = {}, request = {}) => {
      const page = await readPage(request, async (take, below) => {
        const ids = await selectIds(db, filter, below.id?.lt ?? null, take);
        return db.job.findMany({ where: { id: { in: ids } }, orderBy: { id: 'desc' }, include: WITH_ARTIFACT_IDS });
      });
      return { ...page, items: await toJobs(db, page.items) };
    },
    getReport: async (jobId) => {
      const row = await db.jobReport.findUnique({ where: { jobId } });
      return row && (row.report as unknown as Report);
    },
    listEvents: async (jobId, afterId = '0') => {
      const where = { jobId, id: { gt: BigInt(afterId) } };
      const rows = await db.jobEvent.findMany({ where, orderBy: { id: 'asc' }, take: MAX_EVENTS });
      return rows.map((row) => ({
        id: String(row.id),
        jobId,
        at: row.at.toISOString(),
        from: row.fromState,
        to: row.toState,
        phase: row.phase as Job['phase'],
      }));
    },
    claim: async (id, worker) => {
      const token = await start(id, worker);
      const job = token && (await get(id));
      return token && job ? { jobId: id, token, attempt: job.attempts, job } : null;
    },
    cancel: async (id) => {
      await transition(db, { id, when: Prisma.sql`state IN ('queued', 'running')`, to: 'canceled', set: ended(null) });
      const job = await get(id);
      if (!job) throw new TritforgeError('JOB_NOT_FOUND', `There is no job ${id}.`);
      if (job.state === 'canceled') return job;
      throw new TritforgeError('JOB_ALREADY_ENDED', `The job ${id} has ended: it ${job.state}.`, {
        remediation: 'There is nothing to cancel.',
      });
    },
    listQueued: async (minAgeMs, limit) => {
      const rows = await db.$queryRaw<{ id: string }[]>`
        SELECT id FROM jobs
        WHERE state = 'queued' AND queued_at <= now() - make_interval(secs => ${minAgeMs / 1000}::double precision)
        ORDER BY id LIMIT ${limit}`;
      return rows.map((row) => row.id);
    },
  };
}

async function readJob(db: Database, id: string): Promise<Job | null> {
  const row = await db.job.findUnique({ where: { id }, include: WITH_ARTIFACT_IDS });
  return row && ((await toJobs(db, [row]))[0] ?? null);
}

async function insertJob(tx: Database, job: NewJob): Promise<Job> {
  const { modelId, datasets = {}, labels = {} } = job;
  if (!(await lockForUse(tx, 'model', modelId))) {
    throw new TritforgeError('MODEL_NOT_FOUND', `There is no model ${modelId}.`, { field: 'modelId' });
  }
  for (const role of DATASET_ROLES) {
    const id = datasets[role];
    if (id === undefined || (await lockForUse(tx, 'dataset', id))) continue;
    throw new TritforgeError('DATASET_NOT_FOUND', `There is no dataset ${id}.`, { field: `datasets.${role}` });
  }
  const { id } = await tx.job.create({
    data: {
      id: newId('job'),
      modelId,
      calibrationDatasetId: datasets.calibration ?? null,
      evaluationDatasetId: datasets.evaluation ?? null,
      trainingDatasetId: datasets.training ?? null,
      recipe: toJson(job.recipe),
      metric: job.metric ?? null,
      gates: job.gates ? toJson(job.gates) : Prisma.DbNull,
      deadlineSeconds: job.deadlineSeconds ?? null,
      labels: toJson(storableLabels(labels)),
      events: { create: { toState: 'queued' } },
    },
    select: { id: true },
  });
  const created = await readJob(tx, id);
  if (!created) throw new Error(`job ${id} vanished from its own transaction`);
  return created;
}

function storableLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [storableText(name), storableText(value)]));
}

/** Prisma cannot ask for JSON that contains other JSON, which the index on labels answers. */
async function selectIds(db: Database, filter: JobFilter, belowId: string | null, limit: number): Promise<string[]> {
  const { states, modelId, labels } = filter;
  const conditions = [
    Prisma.sql`TRUE`,
    ...(belowId === null ? [] : [Prisma.sql`id < ${belowId}`]),
    ...(states ? [Prisma.sql`state = ANY(${[...states]}::job_state[])`] : []),
    ...(modelId === undefined ? [] : [Prisma.sql`model_id = ${modelId}`]),
    ...(labels ? [Prisma.sql`labels @> ${JSON.stringify(storableLabels(labels))}::jsonb`] : []),
  ];
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT id FROM jobs WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY id DESC LIMIT ${limit}`;
  return rows.map((row) => row.id);
}
