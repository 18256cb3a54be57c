import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { RealModel } from '../shared-data/datasets.js';
import type { RowRequest } from './measure-one.js';
import { type AccuracyRow, appendRow, isSame, type Measurement, type RowIdentity, readRows } from './rows.js';
import { type Variant, variantName } from './variants.js';
import { codeDigest, commitName, dataDigest } from './versions.js';

/** A row to measure. */
export interface Task {
  readonly model: RealModel;
  readonly variant: Variant;
}

export interface RunOptions {
  readonly rowsFile: string;
  /** Whether rows that another version of the code measured stand. */
  readonly acceptOtherCode: boolean;
  /** Says what was done, a line at a time. */
  readonly log: (line: string) => void;
}

const CHILD = fileURLToPath(new URL('./measure-one.js', import.meta.url));

/** The tasks without a finished row. */
export async function unfinished(
  tasks: readonly Task[],
  { rowsFile, acceptOtherCode }: Pick<RunOptions, 'rowsFile' | 'acceptOtherCode'>,
): Promise<Task[]> {
  const rows = await readRows(rowsFile);
  const code = await codeDigest();
  const found: Task[] = [];
  const dataOf = dataDigests();
  for (const task of tasks) {
    const data = await dataOf(task.model);
    const wanted = (row: AccuracyRow) => identityOf(task, acceptOtherCode ? row.code : code, data);
    if (!rows.some((row) => isSame(row, wanted(row)))) found.push(task);
  }
  return found;
}

/**
 * Measures one row after the other, each in a process of its own, and appends what is finished. A row during which the code
 * was compiled anew is dropped: nobody knows which code it is of.
 * @returns the rows that failed, with the reason
 */
export async function runRows(tasks: readonly Task[], { rowsFile, log }: RunOptions): Promise<string[]> {
  const failed: string[] = [];
  const dataOf = dataDigests();
  for (const [index, task] of tasks.entries()) {
    const name = `${task.model.name}: ${variantName(task.variant)}`;
    log(`${index + 1} of ${tasks.length}: ${name}`);
    try {
      const identity = identityOf(task, await codeDigest(), await dataOf(task.model));
      const commit = commitName();
      const measured = await measureInChild({ model: task.model, recipe: task.variant.recipe });
      if ((await codeDigest()) !== identity.code) throw new Error('the code was compiled anew meanwhile');
      const { column, groupSize } = task.variant;
      const row = { ...identity, column, groupSize, commit, cpu: cpus()[0]?.model.trim() ?? 'unknown', ...measured };
      await appendRow(rowsFile, row satisfies AccuracyRow);
    } catch (error) {
      failed.push(`${name}: ${(error as Error).message}`);
      log(failed.at(-1)!);
    }
  }
  return failed;
}

function identityOf({ model, variant }: Task, code: string, data: string): RowIdentity {
  return { model: model.name, recipe: variant.recipe, code, data };
}

/** Digests of the files of models, each computed once. */
function dataDigests(): (model: RealModel) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (model) => {
    const { modelPath, calibration, evaluation, furtherEvaluations, preprocess } = model;
    const files = [modelPath, calibration, evaluation, ...furtherEvaluations];
    const digest = known.get(model.name) ?? dataDigest(preprocess === null ? files : [...files, preprocess]);
    known.set(model.name, digest);
    return digest;
  };
}

/** @throws Error with what the process printed last when it fails */
function measureInChild(request: RowRequest): Promise<Measurement> {
  const child = spawn(process.execPath, ['--enable-source-maps', CHILD, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(Buffer.concat(output).toString()) as Measurement);
      else reject(new Error(lastWords(Buffer.concat(complaints).toString()) ?? `ended by ${signal ?? `code ${code}`}`));
    });
  });
}

/** The message of the error that ended a process. */
function lastWords(text: string): string | null {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? null;
}
