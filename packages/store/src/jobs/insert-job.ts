/**
 * The row of a new job, as one statement, since a service does little else as often:
 *
 *   model, data   locked where they are there, so that nobody deletes them before the job is
 *   minutes       what the key has used of the day, where it is limited
 *   claim         locked where the request has one, so that nobody takes it over
 *   made          the job, where nothing speaks against it
 *   noted, kept   its first event, and the answer to the request
 *
 * What was found comes back with the job, and says why there is none.
 */
import { randomUUID } from 'node:crypto';
import { DATASET_ROLES, type Job, newId, TritforgeError } from '@tritforge/contracts';
import { Prisma, storableText } from '../database.js';
import { minutesUsedUp, usedMinutes } from '../limits/quotas.js';
import { type Answer, type Once, type OnceClaim, takenOver } from '../once/once.js';
import type { Statements } from '../statements.js';
import type { Outlook } from './fair-order.js';
import type { NewJob } from './job-repository.js';
import type { QueueOutlook } from './queue-outlook.js';

/** The database sets the times of a job. In an answer that is kept with it these stand for them until it does. */
const MARKS = { createdAt: randomUUID(), startBy: randomUUID(), expiresAt: randomUUID() };

/** Times of a job, as resources show them. */
interface Times {
  readonly createdAt: string;
  readonly startBy: string | null;
  readonly expiresAt: string | null;
}

/** What was found, and the times of the job where it was made. */
interface Inserted {
  readonly models: number;
  readonly datasets: readonly string[];
  readonly used: number | null;
  readonly allowed: number | null;
  readonly created_at: string | null;
  readonly start_by: string | null;
  readonly expires_at: string | null;
}

/**
 * Writes a queued job, its first event and, with `once`, the answer to the request: all of it or nothing.
 * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND, QUOTA_EXCEEDED, IDEMPOTENCY_IN_PROGRESS
 */
export async function insertJob(
  statements: Statements,
  queue: QueueOutlook,
  projectId: string,
  job: NewJob,
  once?: Once<Job>,
): Promise<Job> {
  const id = newId('job');
  const outlook = await queue.ofComing({
    id,
    sender: job.keyId ?? projectId,
    modelId: job.modelId,
    method: job.recipe.method ?? null,
  });
  const jobWith = (times: Times): Job => queuedJob(id, job, times, outlook);
  const kept = once && { claim: once.claim, answer: once.answerOf(jobWith(marksOf(job))) };
  const [found] = await statements.run<Inserted>('new job', insertion(id, projectId, job, kept));
  if (found?.created_at == null) throw whyNot(found!, job, once?.claim);
  return jobWith({ createdAt: found.created_at, startBy: found.start_by, expiresAt: found.expires_at });
}

function marksOf({ startWithinSeconds = null, expiresInSeconds = null }: NewJob): Times {
  return {
    createdAt: MARKS.createdAt,
    startBy: startWithinSeconds === null ? null : MARKS.startBy,
    expiresAt: expiresInSeconds === null ? null : MARKS.expiresAt,
  };
}

/** An answer, with marks in place of times, and the claim that it is kept under. */
interface Kept {
  readonly claim: OnceClaim;
  readonly answer: Answer;
}

function insertion(id: string, projectId: string, job: NewJob, kept: Kept | undefined): Prisma.Sql {
  const { modelId, datasets = {}, startWithinSeconds = null, expiresInSeconds = null } = job;
  const datasetIds = datasetsOf(job);
  const { key = null, token = null } = kept?.claim ?? {};
  return Prisma.sql`
    WITH model AS (
      SELECT id FROM models WHERE id = ${modelId} AND project_id = ${projectId} FOR KEY SHARE
    ), data AS (
      SELECT id FROM datasets WHERE id = ANY(${datasetIds}::text[]) AND project_id = ${projectId} FOR KEY SHARE
    ), minutes AS (
      SELECT job_minutes_per_day AS allowed, ${usedMinutes(Prisma.sql`api_keys.id`)} AS used
      FROM api_keys WHERE id = ${job.keyId ?? null} AND job_minutes_per_day IS NOT NULL
    ), claim AS (
      SELECT key FROM once_keys
      WHERE project_id = ${projectId} AND key = ${key} AND token = ${token} AND status IS NULL FOR UPDATE
    ), found AS (
      SELECT (SELECT count(*)::int FROM model) AS models, ARRAY(SELECT id FROM data) AS datasets,
        (SELECT used FROM minutes) AS used, (SELECT allowed FROM minutes) AS allowed,
        (SELECT count(*)::int FROM claim) AS claims, clock_timestamp()::timestamptz(3) AS at
    ), made AS (
      INSERT INTO jobs (id, project_id, key_id, model_id, calibration_dataset_id, evaluation_dataset_id, training_dataset_id,
        recipe, metric, gates, deadline_seconds, labels, trace_context, created_at, queued_at, start_by, expires_at, kept_seconds)
      SELECT ${id}, ${projectId}, ${job.keyId ?? null}, ${modelId}, ${datasets.calibration ?? null}, ${datasets.evaluation ?? null},
        ${datasets.training ?? null}, ${asJson(job.recipe)}, ${job.metric ?? null}, ${asJson(job.gates)},
        ${job.deadlineSeconds ?? null}::int, ${JSON.stringify(storableLabels(job.labels))}::jsonb, ${asJson(job.traceContext)},
        at, at, at + make_interval(secs => ${startWithinSeconds}::int), at + make_interval(secs => ${expiresInSeconds}::int),
        ${expiresInSeconds}::int
      FROM found
      WHERE models = 1 AND datasets @> ${datasetIds}::text[] AND (used >= allowed) IS NOT TRUE
        AND (${key}::text IS NULL OR claims = 1)
      RETURNING id, ${shown('created_at')}, ${shown('start_by')}, ${shown('expires_at')}
    ), noted AS (
      INSERT INTO job_events (job_id, to_state) SELECT id, 'queued' FROM made
    ), kept AS (
      UPDATE once_keys SET status = ${kept?.answer.status ?? null}::int, headers = ${asJson(kept?.answer.headers)}, lease_until = NULL,
        body = ${withTimes(kept)}
      FROM made WHERE project_id = ${projectId} AND key = ${key} AND token = ${token}
    )
    SELECT models, datasets, used, allowed, created_at, start_by, expires_at FROM found LEFT JOIN made ON TRUE`;
}

function datasetsOf({ datasets = {} }: NewJob): string[] {
  return [...new Set(DATASET_ROLES.flatMap((role) => datasets[role] ?? []))];
}

/** A column with a time as resources show it, under its own name. */
function shown(column: 'created_at' | 'start_by' | 'expires_at'): Prisma.Sql {
  const name = Prisma.raw(column);
  return Prisma.sql`to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${name}`;
}

/** The body of an answer as text, with the times of the job for their marks. */
function withTimes(kept: Kept | undefined): Prisma.Sql {
  const body = kept === undefined ? null : JSON.stringify(kept.answer.body);
  return Prisma.sql`replace(replace(replace(${body}, ${MARKS.createdAt}, made.created_at),
          ${MARKS.startBy}, coalesce(made.start_by, '')), ${MARKS.expiresAt}, coalesce(made.expires_at, ''))`;
}

function asJson(value: object | null | undefined): Prisma.Sql {
  return Prisma.sql`${value == null ? null : JSON.stringify(value)}::json`;
}

/** Why there is no job, the first reason first. */
function whyNot({ models, datasets, used, allowed }: Inserted, job: NewJob, claim: OnceClaim | undefined): Error {
  if (models === 0) {
    return new TritforgeError('MODEL_NOT_FOUND', `There is no model ${job.modelId}.`, { field: 'modelId' });
  }
  for (const role of DATASET_ROLES) {
    const id = job.datasets?.[role];
    if (id === undefined || datasets.includes(id)) continue;
    return new TritforgeError('DATASET_NOT_FOUND', `There is no dataset ${id}.`, { field: `datasets.${role}` });
  }
  if (used !== null && allowed !== null && used >= allowed) return minutesUsedUp(used, allowed);
  return takenOver(claim!.key);
}

/** The job as resources show it. */
function queuedJob(id: string, job: NewJob, times: Times, outlook: Outlook | null): Job {
  return {
    id,
    state: 'queued',
    phase: null,
    progress: null,
    queuePosition: outlook?.position ?? null,
    estimate: outlook?.estimate ?? null,
    createdAt: times.createdAt,
    startedAt: null,
    finishedAt: null,
    expiresAt: times.expiresAt,
    attempts: 0,
    engineVersion: null,
    modelId: job.modelId,
    recipe: job.recipe,
    datasets: job.datasets ?? {},
    metric: job.metric ?? null,
    gates: { requested: job.gates ?? null, passed: null, results: [] },
    deadlineSeconds: job.deadlineSeconds ?? null,
    startBy: times.startBy,
    labels: storableLabels(job.labels),
    error: null,
    artifactIds: [],
  };
}

/** Labels without what a text in the database cannot have. */
export function storableLabels(labels: NewJob['labels'] = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [storableText(name), storableText(value)]));
}
