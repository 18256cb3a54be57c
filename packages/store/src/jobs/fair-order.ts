/**
 * Which job is next. Who sends jobs — a key, or a project where requests need none — gets workers in proportion to its priority, whatever
 * it sends:
 *
 *   next   the oldest job of the sender with the least   (seconds that workers gave it in the last hour) / priority
 *   place  of the n-th job of a sender, by               (those seconds + (n − 1) · usual seconds of a job) / priority
 *
 * So a sender that comes with its first job does not wait behind a thousand jobs of another, and gaps are not saved up for longer
 * than an hour.
 */
import type { Estimate } from '@tritforge/contracts';
import { type Connection, type Database, Prisma } from '../database.js';
import { lockUntilEnd } from '../locks.js';
import { HISTORY, runsWithin } from './past-runs.js';
import { ABANDONED, EXPIRED } from './transition.js';

const DEFAULT_PRIORITY = 10;
const WINDOW = Prisma.sql`interval '1 hour'`;
/** Before any job has ended. */
const USUAL_SECONDS = 60;

/** What jobs took, and seconds of workers by sender in the window; a running job counts as at least what is usual. */
const USED = Prisma.sql`
  history AS (
    SELECT model_id, method, extract(epoch FROM finished_at - started_at)::double precision AS seconds FROM ${HISTORY} AS newest
  ), usual AS (
    SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), ${USUAL_SECONDS})::double precision AS seconds FROM history
  ), used AS (
    SELECT coalesce(key_id, project_id) AS sender, sum(greatest(
      extract(epoch FROM coalesce(finished_at, now()) - greatest(started_at, now() - ${WINDOW})),
      CASE WHEN finished_at IS NULL THEN usual.seconds ELSE 0 END
    ))::double precision AS seconds
    FROM usual, ${runsWithin(WINDOW)} AS runs
    GROUP BY 1
  )`;

/** Lets one worker at a time choose, until the end of its transaction, so that limits hold and no two choose the same job. */
export async function takeTurns(tx: Database): Promise<void> {
  await lockUntilEnd(tx, 'choices');
}

/** The next jobs that can be claimed, best first: those whose worker is gone, then one of each sender that may run another one. */
export async function nextJobs(db: Database, limit: number): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    WITH ${USED}, first AS (
      SELECT DISTINCT ON (coalesce(key_id, project_id)) id, coalesce(key_id, project_id) AS sender
      FROM jobs WHERE state = 'queued' AND NOT ${EXPIRED} ORDER BY coalesce(key_id, project_id), id
    ), waiting AS (
      SELECT first.id, coalesce(used.seconds, 0) / coalesce(api_keys.priority, ${DEFAULT_PRIORITY}) AS share
      FROM first LEFT JOIN used ON used.sender = first.sender LEFT JOIN api_keys ON api_keys.id = first.sender
      WHERE api_keys.concurrent_jobs IS NULL
        OR api_keys.concurrent_jobs > (SELECT count(*) FROM jobs WHERE state = 'running' AND key_id = first.sender)
      UNION ALL
      SELECT id, -1 FROM jobs WHERE ${ABANDONED}
    )
    SELECT id FROM waiting ORDER BY share, id LIMIT ${limit}`;
  return rows.map(({ id }) => id);
}

/** What a queued job can expect. */
export interface Outlook {
  /** From 1. */
  readonly position: number;
  readonly estimate: Estimate;
}

/** What queued jobs can expect, by their ids. */
export interface Outlooks {
  /** How many jobs wait. */
  readonly waiting: number;
  readonly byId: ReadonlyMap<string, Outlook>;
}

/** A job that is about to be written. */
export interface Coming {
  readonly id: string;
  /** Its key, or its project where requests need none. */
  readonly sender: string;
  readonly modelId: string;
  /** Of its recipe. */
  readonly method: string | null;
}

/** Of all that wait. */
export async function outlooks(db: Database): Promise<Outlooks> {
  const [row] = await db.$queryRaw<[OutlookRow]>(outlookQuery(null));
  return toOutlooks(row);
}

/** Of the one job, as if it waited already. */
export async function outlookOfComing({ statements }: Connection, job: Coming): Promise<Outlooks> {
  const [row] = await statements.run<OutlookRow>('outlook of a coming job', outlookQuery(job));
  return toOutlooks(row!);
}

/** How many jobs wait, and what was asked for as one text: ten thousand rows would keep the process busy for much longer. */
interface OutlookRow {
  readonly waiting: number;
  readonly found: string;
}

/** @param coming the one job that is asked for, all when null */
function outlookQuery(coming: Coming | null): Prisma.Sql {
  const isAsked = coming === null ? Prisma.sql`TRUE` : Prisma.sql`id = ${coming.id}`;
  const andComing =
    coming === null
      ? Prisma.empty
      : Prisma.sql`UNION ALL SELECT ${coming.id}, ${coming.sender}, ${coming.modelId}, ${coming.method}::text`;
  return Prisma.sql`
    WITH ${USED}, by_model AS (
      SELECT model_id, method, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds FROM history GROUP BY 1, 2
    ), queued AS (
      SELECT id, coalesce(key_id, project_id) AS sender, model_id, recipe->>'method' AS method FROM jobs WHERE state = 'queued' ${andComing}
    ), waiting AS (
      SELECT id, sender, model_id, method, row_number() OVER (PARTITION BY sender ORDER BY id) - 1 AS before FROM queued
    ), lasting AS (
      SELECT waiting.id, coalesce(by_model.seconds, usual.seconds) AS seconds,
        row_number() OVER (
          ORDER BY (coalesce(used.seconds, 0) + waiting.before * usual.seconds) / coalesce(api_keys.priority, ${DEFAULT_PRIORITY}), waiting.id
        ) AS position
      FROM usual, waiting
      LEFT JOIN used ON used.sender = waiting.sender
      LEFT JOIN api_keys ON api_keys.id = waiting.sender
      LEFT JOIN by_model ON by_model.model_id = waiting.model_id AND by_model.method IS NOT DISTINCT FROM waiting.method
    ), ordered AS (
      SELECT id, position, seconds, sum(seconds) OVER (ORDER BY position) - seconds AS ahead FROM lasting
    ), running AS (
      SELECT greatest(count(*), 1)::int AS slots,
        coalesce(sum(greatest(coalesce(by_model.seconds, usual.seconds) - extract(epoch FROM now() - jobs.started_at), 0)), 0) AS rest
      FROM usual, jobs
      LEFT JOIN by_model ON by_model.model_id = jobs.model_id AND by_model.method IS NOT DISTINCT FROM jobs.recipe->>'method'
      WHERE jobs.state = 'running'
    )
    SELECT (SELECT count(*)::int FROM waiting) AS waiting,
      coalesce(json_agg(json_build_array(id, position, ahead + rest, seconds, slots)), '[]')::text AS found
    FROM ordered, running WHERE ${isAsked}`;
}

function toOutlooks(row: OutlookRow): Outlooks {
  const found = JSON.parse(row.found) as [id: string, position: number, ahead: number, own: number, slots: number][];
  const byId = found.map(([id, position, ahead, own, slots]) => {
    const estimate = { startsInSeconds: Math.round(ahead / slots), runsForSeconds: Math.round(own) };
    return [id, { position, estimate }] as const;
  });
  return { waiting: row.waiting, byId: new Map(byId) };
}
