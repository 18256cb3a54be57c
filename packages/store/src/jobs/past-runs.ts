/**
 * What was used stays used. The time that workers gave a job is read from its row: shares of workers, job minutes and estimates are sums
 * over jobs. A job that is deleted leaves that much of its row behind:
 *
 *   delete   one statement moves it, so that whoever counts meanwhile finds it in one of the two places
 *   sweep    forgets what nobody counts any more
 */
import { type Database, Prisma } from '../database.js';
import type { PrismaClient } from '../generated/client.js';

/** Jobs that say how long jobs take. */
const HISTORY_LIMIT = 500;
/** Longest time over which runs are counted: that of job minutes. */
const COUNTED = Prisma.sql`interval '24 hours'`;

/** The newest jobs that succeeded, deleted ones too: `id`, `model_id`, `method`, `started_at` and `finished_at`. */
export const HISTORY = Prisma.sql`(
  SELECT * FROM (
    (SELECT id, model_id, recipe->>'method' AS method, started_at, finished_at
      FROM jobs WHERE state = 'succeeded' ORDER BY id DESC LIMIT ${HISTORY_LIMIT})
    UNION ALL
    (SELECT job_id, model_id, method, started_at, finished_at
      FROM past_runs WHERE succeeded ORDER BY job_id DESC LIMIT ${HISTORY_LIMIT})
  ) AS known ORDER BY id DESC LIMIT ${HISTORY_LIMIT}
)`;

/**
 * Runs that go on, or that ended within a time of at most a day, of deleted jobs too: `key_id`, `project_id`, `started_at` and
 * `finished_at`, which is null while it goes on.
 */
export function runsWithin(span: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    SELECT key_id, project_id, started_at, finished_at FROM jobs
    WHERE state = 'running' OR (started_at IS NOT NULL AND finished_at > now() - ${span})
    UNION ALL
    SELECT key_id, project_id, started_at, finished_at FROM past_runs WHERE finished_at > now() - ${span}
  )`;
}

/** Deletes jobs that have ended, and with them whatever refers to them; what is counted of them stays. */
export async function deleteJobRows(tx: Database, ids: readonly string[]): Promise<void> {
  await tx.$executeRaw`
    WITH gone AS (DELETE FROM jobs WHERE id = ANY(${[...ids]}::text[]) RETURNING *)
    INSERT INTO past_runs (job_id, project_id, key_id, model_id, method, succeeded, started_at, finished_at)
    SELECT id, project_id, key_id, model_id, recipe->>'method', state = 'succeeded', started_at, finished_at
    FROM gone WHERE started_at IS NOT NULL`;
}

/** Forgets runs of deleted jobs that nobody counts any more. Returns their number. */
export function sweepPastRuns(db: PrismaClient): Promise<number> {
  return db.$executeRaw`
    DELETE FROM past_runs WHERE finished_at <= now() - ${COUNTED}
      AND job_id NOT IN (SELECT id FROM ${HISTORY} AS history)`;
}
