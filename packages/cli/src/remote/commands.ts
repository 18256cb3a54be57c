import type { DatasetFile, ModelFiles, NewJob, TritforgeClient, UploadProgress } from '@tritforge/client';
import { isId, isTerminal, type Job, type Metric, type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { CommandContext } from '../command-context.js';
import { type GateFlags, gatesOf } from '../gates.js';
import { inputFile, modelFile, readPreprocess } from '../input-files.js';
import { openProgressDisplay } from '../output/progress-bar.js';
import { describeReport } from '../output/quantize-tables.js';
import { titleOf } from '../output/recipe-title.js';
import { requireOutputFolder } from '../output-folder.js';
import { type RecipeFlags, recipeOf } from '../recipe-flags.js';
import { onService, requireSuccess } from './command-errors.js';
import { type ConnectionFlags, connect } from './connection.js';
import { describeJob } from './describe-job.js';
import { followJob, type WaitFlags } from './follow-job.js';
import { downloadResults } from './results.js';

/** Flags of the commands that wait. */
export interface EndFlags extends ConnectionFlags, WaitFlags {
  readonly out?: string;
}

/** Flags of `tritforge submit`. */
export interface SubmitFlags extends RecipeFlags, GateFlags, EndFlags {
  readonly data?: readonly string[];
  readonly calibration?: string;
  readonly evaluation?: string;
  readonly preprocess?: string;
  readonly metric?: Metric;
  /** Milliseconds. */
  readonly deadline?: number;
  /** Milliseconds. */
  readonly startWithin?: number;
  readonly label?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  readonly wait?: boolean;
}

/** Starts a job and prints its id, or waits for what it comes to. @throws CommandError, TritforgeError */
export async function submitCommand(model: string, flags: SubmitFlags, context: CommandContext): Promise<void> {
  const client = await connect(flags);
  if (flags.out !== undefined) await requireOutputFolder(flags.out);
  const wanted = await jobOf(model, flags);
  await onService(async () => {
    const job = await createShown(client, wanted, flags.idempotencyKey, context);
    if (!flags.wait && flags.out === undefined) return print(context, job, `${job.id}\n`);
    if (!context.asJson) process.stderr.write(`${job.id}\n`);
    await comeToTheEnd(client, job.id, flags, context);
  });
}

/** Starts a job, and shows how far its large files are. */
async function createShown(
  client: TritforgeClient,
  wanted: NewJob,
  idempotencyKey: string | undefined,
  { signal }: CommandContext,
): Promise<Job> {
  const display = openProgressDisplay();
  const onUploadProgress = ({ fileName: detail, sentBytes: done, sizeBytes: total }: UploadProgress) =>
    display.show({ phase: 'upload', done, total, unit: 'bytes', etaSeconds: null, detail });
  try {
    return await client.jobs.create(wanted, { signal, idempotencyKey, onUploadProgress });
  } finally {
    display.close();
  }
}

/** Waits for a job and prints what it came to. @throws CommandError, TritforgeError */
export async function waitCommand(id: string, flags: EndFlags, context: CommandContext): Promise<void> {
  const client = await connect(flags);
  if (flags.out !== undefined) await requireOutputFolder(flags.out);
  await onService(() => comeToTheEnd(client, id, flags, context));
}

/** Prints how far a job is. @throws CommandError */
export async function statusCommand(id: string, flags: ConnectionFlags, context: CommandContext): Promise<void> {
  const client = await connect(flags);
  const job = await onService(() => client.jobs.get(id, { signal: context.signal }));
  print(context, job, describeJob(job));
}

/** Cancels a job. @throws CommandError */
export async function cancelCommand(id: string, flags: ConnectionFlags, context: CommandContext): Promise<void> {
  const client = await connect(flags);
  const job = await onService(() => client.jobs.cancel(id, { signal: context.signal }));
  print(context, job, `${job.id} is canceled.\n`);
}

/** Downloads what a job made and prints the paths, whatever its gates say. @throws CommandError, TritforgeError REPORT_NOT_READY */
export async function downloadCommand(
  id: string,
  flags: ConnectionFlags & { readonly out: string },
  context: CommandContext,
): Promise<void> {
  const client = await connect(flags);
  await requireOutputFolder(flags.out);
  const files = await onService(async () => {
    const job = await client.jobs.get(id, { signal: context.signal });
    if (!isTerminal(job.state)) throw notEnded(job);
    if (job.artifactIds.length === 0) requireSuccess(job);
    return downloadResults(client, job, await client.jobs.report(id, { signal: context.signal }), flags.out, context);
  });
  print(context, { jobId: id, files }, files.map((file) => `${file}\n`).join(''));
}

/** Waits for a job, downloads and prints what it made, and says by its error what else it came to. */
async function comeToTheEnd(
  client: TritforgeClient,
  id: string,
  flags: EndFlags,
  context: CommandContext,
): Promise<void> {
  const job = await followJob(client, id, flags, context);
  // Jobs that a gate made fail have results too.
  const report = job.artifactIds.length === 0 ? null : await client.jobs.report(id, { signal: context.signal });
  if (report !== null && flags.out !== undefined) await downloadResults(client, job, report, flags.out, context);
  print(context, job, report === null ? '' : describeReport(report, titleOf(job.recipe)));
  requireSuccess(job);
}

async function jobOf(model: string, flags: SubmitFlags): Promise<NewJob> {
  const preprocess = flags.preprocess === undefined ? undefined : await readPreprocess(flags.preprocess);
  const gates = gatesOf(flags);
  const seconds = (ms: number) => Math.ceil(ms / 1000);
  return {
    model: await modelSource(model, flags.data ?? []),
    recipe: await recipeOf(flags),
    datasets: {
      calibration: await datasetSource(flags.calibration, preprocess),
      evaluation: await datasetSource(flags.evaluation, preprocess),
      training: await datasetSource(flags.training, preprocess),
    },
    ...(flags.metric && { metric: flags.metric }),
    ...(Object.keys(gates).length > 0 && { gates }),
    ...(flags.deadline !== undefined && { deadlineSeconds: seconds(flags.deadline) }),
    ...(flags.startWithin !== undefined && { startWithinSeconds: seconds(flags.startWithin) }),
    ...(flags.label && { labels: { ...flags.label } }),
  };
}

async function modelSource(model: string, data: readonly string[]): Promise<string | ModelFiles> {
  if (isId('model', model) && data.length === 0) return model;
  const path = await modelFile(model);
  return { path, data: await Promise.all(data.map((file) => inputFile(file, 'MODEL_EXTERNAL_DATA_MISSING'))) };
}

async function datasetSource(
  source: string | undefined,
  preprocess: Preprocess | undefined,
): Promise<string | DatasetFile | undefined> {
  if (source === undefined || isId('dataset', source)) return source;
  return { path: await inputFile(source, 'DATASET_NOT_FOUND'), preprocess };
}

function print({ asJson }: CommandContext, value: object, words: string): void {
  process.stdout.write(asJson ? `${JSON.stringify(value)}\n` : words);
}

function notEnded({ id, state }: Job): TritforgeError {
  return new TritforgeError('REPORT_NOT_READY', `The job ${id} is ${state}.`, {
    remediation: `Wait for it first: tritforge wait ${id}`,
  });
}
