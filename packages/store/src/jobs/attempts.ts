import { randomUUID } from 'node:crypto';
import type { Report, SerializedError } from '@tritforge/contracts';
import { TritforgeError } from '@tritforge/contracts';
import { type Database, Prisma, toJson } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { insertArtifacts } from '../repositories/artifacts.js';
import type { JobRepository, Outcome, SweptJobs, Worker } from './job-repository.js';
import { ABANDONED, BACK_TO_QUEUE, EXPIRED, ended, heldBy, transition } from './transition.js';

/** What a worker does with a job: the part of {@link JobRepository} that changes running rows. */
type Attempts = Pick<JobRepository, 'heartbeat' | 'finish' | 'release' | 'retry' | 'sweep'> & {
  /** Starts an attempt; returns its token. */
  start(tx: Database, id: string, worker: Worker): Promise<string | null>;
};

export interface AttemptLimits {
  readonly maxAttempts: number;
  readonly leaseMs: number;
}

/** A worker stops a job at its deadline itself; one that is over it for so long has lost control. */
const DEADLINE_GRACE_SECONDS = 30;
const SWEEP_BATCH = 100;

const crashed = (maxAttempts: number): SerializedError =>
  new TritforgeError('JOB_CRASHED', `The job was started ${maxAttempts} times and its worker died each time.`, {
    remediation: 'Try a smaller model or dataset; the log of the worker may say more.',
  }).toJSON();

const late = (): SerializedError =>
  new TritforgeError('JOB_EXPIRED', 'No worker started the job in time.', {
    field: 'startWithinSeconds',
    remediation: 'Send it again with more time, or add workers.',
  }).toJSON();

const overdue = (): SerializedError =>
  new TritforgeError('JOB_DEADLINE_EXCEEDED', 'The job ran longer than its deadline.', {
    field: 'deadlineSeconds',
    remediation: 'Allow more time, use less calibration and evaluation data, or fine-tune for less long.',
  }).toJSON();

/** The transitions of running jobs. Times are the database's, so that clocks of workers may differ. */
export function createAttempts(db: PrismaClient, { maxAttempts, leaseMs }: AttemptLimits): Attempts {
  const lease = Prisma.sql`now() + make_interval(secs => ${leaseMs / 1000}::double precision)`;
  const attemptsLeft = Prisma.sql`attempts < ${maxAttempts}::int`;
  const attemptsUsedUp = Prisma.sql`attempts >= ${maxAttempts}::int`;

  return {
    start: async (tx, id, worker) => {
      const token = randomUUID();
      const claimable = Prisma.sql`((state = 'queued' AND NOT ${EXPIRED}) OR (${ABANDONED}))`;
      const started = await transition(tx, {
        id,
        when: Prisma.sql`${claimable} AND ${attemptsLeft}`,
        to: 'running',
        set: Prisma.sql`, claim_token = ${token}, lease_until = ${lease}, worker_id = ${worker.id},
          engine_version = ${worker.engineVersion}, attempts = attempts + 1, started_at = now(), phase = NULL, progress = NULL`,
      });
      if (started) return token;
      await transition(tx, {
        id,
        when: Prisma.sql`${claimable} AND ${attemptsUsedUp}`,
        to: 'failed',
        set: ended(crashed(maxAttempts)),
      });
      return null;
    },

    heartbeat: async ({ jobId, token }, update) => {
      const rows = update
        ? await db.$queryRaw<unknown[]>`
            WITH before AS (
              SELECT id, phase FROM jobs WHERE id = ${jobId} AND ${heldBy(token)} FOR UPDATE
            ), changed AS (
              UPDATE jobs SET lease_until = ${lease}, phase = ${update.phase},
                progress = ${update.progress === null ? null : JSON.stringify(update.progress)}::json
              FROM before WHERE jobs.id = before.id
              RETURNING jobs.id, before.phase AS from_phase
            ), logged AS (
              INSERT INTO job_events (job_id, from_state, to_state, phase)
              SELECT id, 'running', 'running', ${update.phase} FROM changed WHERE from_phase IS DISTINCT FROM ${update.phase}
            )
            SELECT 1 FROM changed`
        : await db.$queryRaw<unknown[]>`
            UPDATE jobs SET lease_until = ${lease} WHERE id = ${jobId} AND ${heldBy(token)} RETURNING 1`;
      return rows.length > 0;
    },

    finish: ({ jobId, token }, outcome) =>
      db.$transaction(async (tx) => {
        const finished = await transition(tx, {
          id: jobId,
          when: heldBy(token),
          to: outcome.state,
          set: Prisma.sql`${ended(outcome.state === 'succeeded' ? null : outcome.error)} ${gateColumns(outcome.report)}`,
        });
        if (finished) await storeResult(tx, jobId, outcome);
        return finished;
      }),

    release: ({ jobId, token }) =>
      transition(db, {
        id: jobId,
        when: heldBy(token),
        to: 'queued',
        set: Prisma.sql`${BACK_TO_QUEUE}, attempts = attempts - 1`,
      }),

    retry: async ({ jobId, token }, error) => {
      const held = heldBy(token);
      const requeued = {
        id: jobId,
        when: Prisma.sql`${held} AND ${attemptsLeft}`,
        to: 'queued',
        set: BACK_TO_QUEUE,
      } as const;
      if (await transition(db, requeued)) return 'queued';
      return (await transition(db, { id: jobId, when: held, to: 'failed', set: ended(error) })) ? 'failed' : null;
    },

    sweep: async () => {
      const swept: SweptJobs = { requeued: [], failed: [], expired: [] };
      const isOverdue = Prisma.sql`state = 'running' AND deadline_seconds IS NOT NULL
        AND started_at + make_interval(secs => deadline_seconds + ${DEADLINE_GRACE_SECONDS}::int) < now()`;
      for (const id of await selectIds(db, ABANDONED)) {
        const requeue = {
          id,
          when: Prisma.sql`${ABANDONED} AND ${attemptsLeft}`,
          to: 'queued',
          set: BACK_TO_QUEUE,
        } as const;
        if (await transition(db, requeue)) swept.requeued.push(id);
        else if (await transition(db, { id, when: ABANDONED, to: 'failed', set: ended(crashed(maxAttempts)) }))
          swept.failed.push(id);
      }
      for (const id of await selectIds(db, EXPIRED)) {
        if (await transition(db, { id, when: EXPIRED, to: 'expired', set: ended(late()) })) swept.expired.push(id);
      }
      for (const id of await selectIds(db, isOverdue)) {
        if (await transition(db, { id, when: isOverdue, to: 'failed', set: ended(overdue()) })) swept.failed.push(id);
      }
      return swept;
    },
  };
}

async function selectIds(db: Database, when: Prisma.Sql): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`SELECT id FROM jobs WHERE ${when} ORDER BY id LIMIT ${SWEEP_BATCH}`;
  return rows.map((row) => row.id);
}

/** What the job itself shows of its report's gates. Passed is null when no gate was asked for. */
function gateColumns(report: Report | undefined): Prisma.Sql {
  if (!report || report.gates.length === 0) return Prisma.empty;
  const passed = report.gates.every((gate) => gate.passed);
  return Prisma.sql`, gates_passed = ${passed}, gate_results = ${JSON.stringify(report.gates)}::json`;
}

async function storeResult(tx: Database, jobId: string, { report, artifacts = [] }: Outcome): Promise<void> {
  if (report) await tx.jobReport.create({ data: { jobId, report: toJson(report) } });
  await insertArtifacts(tx, jobId, artifacts);
}
