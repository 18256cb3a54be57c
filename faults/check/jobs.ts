import { ERROR_CODES, type ErrorCode, isTerminal, type JobState } from '@tritforge/contracts';
import type { AcceptedJob } from '../pipeline/ledger.js';
import { TASK_KINDS, type TaskKindInfo } from '../pipeline/task-kinds.js';
import type { CheckContext } from './context.js';

/** A job as the database has it. */
export interface JobRow {
  readonly id: string;
  readonly state: JobState;
  readonly code: ErrorCode | null;
  readonly attempts: number;
  readonly isClaimed: boolean;
  /** How often its log says that it ended. */
  readonly ends: number;
  /** The state that its log says last. */
  readonly lastState: JobState | null;
  readonly artifacts: number;
  readonly reports: number;
}

const JOBS = `
  SELECT id, state, error->>'code' AS code, attempts, claim_token IS NOT NULL OR lease_until IS NOT NULL AS "isClaimed",
    (SELECT count(*)::int FROM job_events e WHERE e.job_id = jobs.id AND to_state NOT IN ('queued', 'running')) AS ends,
    (SELECT to_state FROM job_events e WHERE e.job_id = jobs.id ORDER BY e.id DESC LIMIT 1) AS "lastState",
    (SELECT count(*)::int FROM artifacts a WHERE a.job_id = jobs.id) AS artifacts,
    (SELECT count(*)::int FROM job_reports r WHERE r.job_id = jobs.id) AS reports
  FROM jobs ORDER BY id`;

/** All jobs that are there. */
export async function readJobs({ service }: Pick<CheckContext, 'service'>): Promise<JobRow[]> {
  return (await service.db.query<JobRow>(JOBS)).rows;
}

/** Every accepted job is there, once, and has ended, once, in a way that its task or a failure of the service explains. */
export async function checkJobs(context: CheckContext): Promise<string[]> {
  const { ledger, keepsake } = context;
  const rows = new Map((await readJobs(context)).map((row) => [row.id, row]));
  const accepted = [...ledger.jobs.values(), keepsake];
  const known = new Set(accepted.map(({ id }) => id));
  const strangers = [...rows.keys()].filter((id) => !known.has(id));
  return [
    ...strangers.map((id) => `job ${id} is there, and no request was answered with it`),
    ...accepted.flatMap((job) => jobFaults(job, rows.get(job.id))),
  ];
}

/** What is wrong with a job. */
export function jobFaults(job: AcceptedJob, row: JobRow | undefined): string[] {
  const { id, task, endedAs, deletion } = job;
  if (row === undefined) return deletion === 'none' ? [`job ${id} (${task}) is lost`] : [];
  if (deletion === 'done') return [`job ${id} (${task}) is there after it was deleted`];
  const { state, ends, lastState, isClaimed } = row;
  const wrong = [
    !isTerminal(state) && `has not ended: it is ${state}`,
    isTerminal(state) && ends !== 1 && `ended ${ends} times by its log`,
    lastState !== state && `is ${state} and by its log ${lastState}`,
    endedAs !== null && endedAs !== state && `is ${state} and was ${endedAs} when its client saw it end`,
    isClaimed && 'still has the claim or the lease of a worker',
    ...endFaults(job, row),
  ];
  return wrong.filter((what) => what !== false).map((what) => `job ${id} (${task}) ${what}`);
}

function endFaults({ task }: AcceptedJob, { state, code, artifacts, reports }: JobRow): (string | false)[] {
  const { ends, isGated }: TaskKindInfo = TASK_KINDS[task];
  const isByGate = isGated === true && code === 'GATE_FAILED';
  const results = state === 'succeeded' || isByGate ? 1 : 0;
  return [
    !isByGate && state !== 'failed' && !ends.includes(state) && `ended as ${state}`,
    // What the service suffers is never the fault of model, data or recipe.
    state === 'failed' && !isByGate && !isOurs(code) && `failed with ${code}, which blames its sender`,
    artifacts !== results && `is ${state} and has ${artifacts} artifacts in place of ${results}`,
    reports !== results && `is ${state} and has ${reports} reports in place of ${results}`,
  ];
}

function isOurs(code: ErrorCode | null): boolean {
  return code !== null && ERROR_CODES[code].status >= 500;
}
