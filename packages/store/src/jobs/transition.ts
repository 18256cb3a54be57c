import type { JobState } from '@tritforge/contracts';
import { type Database, Prisma } from '../database.js';

/** One step of a job from state to state. */
export interface Transition {
  readonly id: string;
  /** Condition on the row under which the step is allowed; it must name the states that may be left. */
  readonly when: Prisma.Sql;
  readonly to: JobState;
  /** More columns to set, as `, column = value`. */
  readonly set?: Prisma.Sql;
}

/**
 * The only writer of `jobs.state`: one UPDATE that changes the row if the condition holds on its newest version, and logs
 * the event. Of several that race for a row, the first locks it and the others judge what it left. Returns whether the
 * step was made.
 */
export async function transition(db: Database, step: Transition): Promise<boolean> {
  const { id, when, to, set = Prisma.empty } = step;
  const rows = await db.$queryRaw<unknown[]>`
    WITH before AS (
      SELECT id AS job_id, state AS from_state FROM jobs WHERE id = ${id} AND (${when}) FOR UPDATE
    ), changed AS (
      UPDATE jobs SET state = ${to}::job_state ${set} FROM before WHERE jobs.id = before.job_id
      RETURNING jobs.id, before.from_state, jobs.state, jobs.phase
    )
    INSERT INTO job_events (job_id, from_state, to_state, phase)
    SELECT id, from_state, state, phase FROM changed
    RETURNING job_id`;
  return rows.length > 0;
}

/** The row is being run by nobody but the holder of the token. */
export function heldBy(token: string): Prisma.Sql {
  return Prisma.sql`state = 'running' AND claim_token = ${token}`;
}

/** The row runs, but its worker has not been heard of for longer than the lease. */
export const ABANDONED = Prisma.sql`state = 'running' AND lease_until < now()`;

/** The row waits for its first start, and it is too late for that. */
export const EXPIRED = Prisma.sql`(state = 'queued' AND attempts = 0 AND start_by IS NOT NULL AND start_by < now())`;

/** Columns of an attempt that is over. */
const NO_CLAIM = Prisma.sql`, claim_token = NULL, lease_until = NULL`;

/** Sets what a job that waits (again) shows. */
export const BACK_TO_QUEUE = Prisma.sql`${NO_CLAIM}, phase = NULL, progress = NULL, started_at = NULL, queued_at = now()`;

/** Sets what a job that has ended shows; `error` is JSON or null. */
export function ended(error: object | null): Prisma.Sql {
  const json = error === null ? null : JSON.stringify(error);
  return Prisma.sql`${NO_CLAIM}, finished_at = now(), error = ${json}::json`;
}
