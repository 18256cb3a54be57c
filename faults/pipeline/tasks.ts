/** What a pipeline does in a round: one function for each kind of task, which ends when its job has ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dataset, isTerminal, type Job, type JobOptions, type Model } from '@tritforge/contracts';
import type { Random } from '@tritforge/store/testing/random';
import { expectJson, type FormEntries, form, json } from '#test/support/http';
import { append, offsetOf, started, terminate } from '#test/support/tus';
import type { BlindClient, Send } from './blind-client.js';
import type { AcceptedJob, Ledger } from './ledger.js';
import type { TaskKind } from './task-kinds.js';
import { WORKS, type Work, type WorkName } from './works.js';

const PIECE_BYTES = 64_000;
const PIECE_PAUSE_MS = 400;
/** How long the jobs that expire are kept. */
export const EXPIRY_SECONDS = 3600;
const LATEST_CANCEL_MS = 4_000;
const LOOK_SECONDS = 5;
const LOOK_PAUSE_MS = 200;
/** Three attempts with the lease of each, and the work before it in the queue. */
const END_TIMEOUT_MS = 240_000;

/** A task, and when in its round it begins. */
export interface TaskPlan {
  readonly kind: TaskKind;
  readonly work: WorkName;
  readonly afterMs: number;
}

/** What a task works with. */
export interface TaskContext {
  readonly client: BlindClient;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Start of its idempotency keys, which no other task has. */
  readonly key: string;
}

/** Does all of a task. @throws Error for what a pipeline would not expect */
export async function runTask({ kind, work, afterMs }: TaskPlan, context: TaskContext): Promise<void> {
  await sleep(afterMs);
  const { client, ledger, random, key } = context;
  const submit = SUBMITS[kind] ?? submitForm;
  const job = await submit(WORKS[work], context, OPTIONS[kind] ?? {});
  const accepted: AcceptedJob = { id: job.id, task: kind, work, endedAs: null, deletion: 'none' };
  ledger.jobs.set(job.id, accepted);
  ledger.models.add(job.modelId);
  if (job.datasets.calibration !== undefined) ledger.datasets.add(job.datasets.calibration);
  if (kind === 'canceled') {
    await sleep(random.below(LATEST_CANCEL_MS));
    // 409 says that it has ended meanwhile.
    await client.withKey(`${key}-cancel`)(`/jobs/${job.id}/cancel`, { method: 'POST' });
  }
  accepted.endedAs = (await jobEnd(client, job.id)).state;
  if (kind === 'deleted') await deleteJob(client, accepted);
}

/** Options of the jobs of some tasks. */
const OPTIONS: Partial<Record<TaskKind, JobOptions>> = {
  gated: { gates: { maxSizeBytes: 1000, onFailure: 'fail' } },
  // Longer than any round, which ends by moving the time on.
  expiring: { expiresInSeconds: EXPIRY_SECONDS },
  late: { startWithinSeconds: 1 },
};

type Submit = (work: Work, context: TaskContext, options: JobOptions) => Promise<Job>;

/** How some tasks send their job; others send a form. */
const SUBMITS: Partial<Record<TaskKind, Submit>> = { steps: submitSteps, pieces: submitPieces };

function submitForm(work: Work, { client, key }: TaskContext, options: JobOptions): Promise<Job> {
  return sendForm(client.withKey(key), work, options, work.model);
}

async function sendForm(send: Send, work: Work, options: JobOptions, model: Work['model'] | string): Promise<Job> {
  const { calibration, preprocess, recipe } = work;
  const entries: FormEntries = [
    ['model', model],
    ...(calibration === undefined ? [] : [['calibration', calibration] as const]),
    ['job', JSON.stringify({ recipe, ...(preprocess && { preprocess }), ...options })],
  ];
  return expectJson<Job>(await send('/jobs', form(entries)), 202);
}

async function submitSteps(work: Work, { client, key, ledger }: TaskContext, options: JobOptions): Promise<Job> {
  const { model, calibration, preprocess, recipe } = work;
  const modelForm = form([['model', model]]);
  const { id: modelId } = await made<Model>(await client.withKey(`${key}-model`)('/models', modelForm));
  ledger.models.add(modelId);
  const datasets: { calibration?: string } = {};
  if (calibration !== undefined) {
    const described = preprocess === undefined ? [] : [['preprocess', JSON.stringify(preprocess)] as const];
    const dataForm = form([...described, ['data', calibration]]);
    datasets.calibration = (await made<Dataset>(await client.withKey(`${key}-data`)('/datasets', dataForm))).id;
    ledger.datasets.add(datasets.calibration);
  }
  const body = json({ modelId, datasets, recipe, ...options });
  return expectJson<Job>(await client.withKey(key)('/jobs', body), 202);
}

/** The model or dataset that was made, or was there already. */
function made<T>(response: Response): Promise<T> {
  return expectJson<T>(response, response.status === 200 ? 200 : 201);
}

async function submitPieces(work: Work, context: TaskContext, options: JobOptions): Promise<Job> {
  const { client, key } = context;
  const { content, fileName } = work.model;
  const path = await started(client.withKey(`${key}-upload`), content.length, fileName);
  await sendPieces(path, content, context);
  const job = await sendForm(client.withKey(key), work, options, `upload:${path.split('/').at(-1)}`);
  // 404 says that a request before this one did it.
  await terminate(client.send, path);
  return job;
}

async function sendPieces(path: string, content: Buffer, { client, ledger, random }: TaskContext): Promise<void> {
  for (let offset = 0, acknowledged = 0; offset < content.length; ) {
    const once: Send = async (to, init) => (await client.once(to, init)) ?? Response.error();
    const answer = await append(once, path, offset, content.subarray(offset, offset + PIECE_BYTES));
    if (answer.status === 204) acknowledged = offset + Math.min(PIECE_BYTES, content.length - offset);
    await sleep(random.below(PIECE_PAUSE_MS));
    offset = await offsetOf(client.send, path);
    if (offset < acknowledged) ledger.wrong.push(`${path} has ${offset} bytes of ${acknowledged} acknowledged ones`);
  }
}

/** Looks at a job until it has ended. */
export async function jobEnd(client: Pick<BlindClient, 'send'>, id: string): Promise<Job> {
  const giveUpMs = Date.now() + END_TIMEOUT_MS;
  for (;;) {
    const job = await expectJson<Job>(
      await client.send(`/jobs/${id}`, { headers: { prefer: `wait=${LOOK_SECONDS}` } }),
      200,
    );
    if (isTerminal(job.state)) return job;
    if (Date.now() > giveUpMs) {
      throw new Error(`job ${id} is still ${job.state} (${job.phase}) after ${END_TIMEOUT_MS} ms`);
    }
    await sleep(LOOK_PAUSE_MS);
  }
}

async function deleteJob(client: BlindClient, job: AcceptedJob): Promise<void> {
  job.deletion = 'asked';
  const { status } = await client.send(`/jobs/${job.id}`, { method: 'DELETE' });
  // Not there: an attempt whose answer was lost did it.
  if (status !== 204 && status !== 404) throw new Error(`DELETE /jobs/${job.id} was answered ${status}`);
  job.deletion = 'done';
}
