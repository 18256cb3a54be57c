/**
 * What a model of some gigabytes costs the service: memory of each process, phase by phase, and time.
 *
 *     npm run bench -- large-model [--gigabytes 2.2] [--single-file] [--out FILE]
 *
 * Generates the model, starts a service of its own in the folder for temporary files (about ten times the model must
 * fit), uploads the model, quantizes it with and without activations, downloads what came out, compares the digest and
 * runs it in onnxruntime. Then it cuts an upload of 1 GB in half and looks at what is left of it. Linux only.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import type { JobRequest } from '@tritforge/contracts';
import { createOnnxRuntime, writeNpz } from '@tritforge/quant-core';
import { type Stack, startStack } from '#test/support/stack';
import { cutUpload } from './large-model/cut-upload.js';
import { generateModel, INPUTS, type LargeModel, normalNumbers } from './large-model/generate-model.js';
import { MemoryWatch, type Peak } from './large-model/memory-watch.js';
import { artifactsOf, download, runJob, uploadDataset, uploadModel } from './large-model/service-client.js';

const GB = 1e9;
const CALIBRATION_SAMPLES = 8;
const CUT_BYTES = 2 ** 30;
const CLEAN_UP_MS = 5000;
/** Limits that the service keeps. */
const MAX_API_BYTES = 300e6;
const MAX_WORKER_SHARE = 3;

const { values: options } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '2.2' },
    'single-file': { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

const folder = await mkdtemp(join(tmpdir(), 'tritforge-large-model-'));
try {
  const report = await measure(folder, Number(options.gigabytes) * GB);
  console.log(report);
  if (options.out) writeFileSync(options.out, report);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(folder: string, weightBytes: number): Promise<string> {
  say('generating the model');
  const model = await generateModel(folder, weightBytes, options['single-file'] ? 'inside' : 'external');
  const stack = await startStack({ workers: 1 });
  const watch = new MemoryWatch([
    { role: 'API', childRole: 'inspection', pid: stack.api.pid! },
    { role: 'worker', childRole: 'job', pid: stack.workers[0]!.pid! },
  ]);
  try {
    const steps: Step[] = [];
    // What was measured until then is shown even so.
    await quantizeOverHttp(stack, watch, folder, model, steps).catch((error: Error) => say(error.message));
    const left = await leftByCutUpload(stack, watch);
    watch.stop();
    return describe(watch, steps, left, model, await sizeOf(model));
  } finally {
    watch.stop();
    await stack.close();
  }
}

/** One thing that was done, and how long it took. */
interface Step {
  readonly name: string;
  readonly seconds: number;
  readonly result: string;
}

async function quantizeOverHttp(
  { url }: Stack,
  watch: MemoryWatch,
  folder: string,
  large: LargeModel,
  steps: Step[],
): Promise<void> {
  const step = async <T>(name: string, work: () => Promise<T>, resultOf: (value: T) => string): Promise<T> => {
    say(name);
    watch.enter(name);
    const startMs = performance.now();
    const seconds = () => (performance.now() - startMs) / 1000;
    try {
      const value = await work();
      steps.push({ name, seconds: seconds(), result: resultOf(value) });
      return value;
    } catch (error) {
      steps.push({ name, seconds: seconds(), result: `FAILED: ${error instanceof Error ? error.message : error}` });
      process.exitCode = 1;
      throw error;
    }
  };
  const model = await step(
    'upload',
    () => uploadModel(url, large.files),
    ({ summary }) => `${(summary.parameters / 1e6).toFixed(0)} million parameters`,
  );
  const calibration = await uploadDataset(url, await writeCalibration(folder));
  const requests: Record<string, JobRequest> = {
    'weights only': { modelId: model.id, recipe: { method: 'fgq', activations: { bits: null } } },
    'with activations': {
      modelId: model.id,
      recipe: { method: 'fgq', weights: { solver: 'exact' } },
      datasets: { calibration: calibration.id },
    },
  };
  for (const [name, request] of Object.entries(requests)) {
    const job = await step(
      name,
      () => runJob(url, request, ({ phase }) => phase !== null && watch.enter(`${name}: ${phase}`)),
      () => '',
    );
    const [artifact] = await artifactsOf(url, job.id);
    const path = await step(
      `${name}: download`,
      () => download(url, artifact!, folder),
      () => `${megabytes(artifact!.sizeBytes)}, ${artifact!.bitsPerWeight.wholeModel.toFixed(2)} bits per weight`,
    );
    await step(`${name}: run the download`, () => runArtifact(path), String);
    await rm(path);
  }
}

async function writeCalibration(folder: string): Promise<string> {
  const path = join(folder, 'calibration.npz');
  const random = normalNumbers(2);
  const shape = [CALIBRATION_SAMPLES, INPUTS];
  const data = Float32Array.from({ length: CALIBRATION_SAMPLES * INPUTS }, random);
  await writeNpz(path, new Map([['x', { dtype: 'float32', shape, data }]]));
  return path;
}

/** Runs a model once in this process. */
async function runArtifact(path: string): Promise<string> {
  const runtime = createOnnxRuntime();
  const session = await runtime.load(path, { threads: 1, optimization: 'all' });
  const data = Float32Array.from({ length: INPUTS }, normalNumbers(3));
  const outputs = await session.run(new Map([['x', { dtype: 'float32', shape: [1, INPUTS], data }]]));
  await session.release();
  const { shape, data: values } = outputs.get('y')!;
  if (![...(values as Float32Array)].every(Number.isFinite)) throw new Error('the outputs are not finite');
  return `${runtime.engine}: [${shape.join(', ')}]`;
}

/** What an upload that breaks off leaves behind; null when that is nothing. */
async function leftByCutUpload(stack: Stack, watch: MemoryWatch): Promise<string | null> {
  say('cut upload');
  watch.enter('cut upload');
  const before = await stack.footprint();
  await cutUpload(stack.url, CUT_BYTES, CUT_BYTES / 2);
  const giveUpMs = Date.now() + CLEAN_UP_MS;
  for (;;) {
    const after = await stack.footprint();
    if (isDeepStrictEqual(before, after)) return null;
    if (Date.now() > giveUpMs) return JSON.stringify({ before, after });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function describe(
  watch: MemoryWatch,
  steps: readonly Step[],
  left: string | null,
  model: LargeModel,
  modelBytes: number,
): string {
  const api = watch.largest('API');
  const worker = watch.largest('worker and job');
  const verdict = (isKept: boolean) => (isKept ? 'kept' : 'EXCEEDED');
  return `# A model of ${(modelBytes / GB).toFixed(2)} GB

\`npm run bench -- large-model --gigabytes ${options.gigabytes}${options['single-file'] ? ' --single-file' : ''}\` on ${cpus()[0]?.model ?? 'an unknown CPU'}, Node ${process.version}, commit ${commit()}.
${model.layers} MatMul layers with Relu, the largest of 268 MB${options['single-file'] ? ', all in one file' : ', weights in an external data file'}. Memory is sampled every 25 ms. *Anonymous* is what the
process itself holds; *resident* adds pages of mapped files, which the kernel may drop at any time.

| limit | resident | anonymous | |
|---|---|---|---|
| API below ${megabytes(MAX_API_BYTES)} | ${cells(api)} | ${verdict(api.residentBytes < MAX_API_BYTES)} |
| worker and job below ${MAX_WORKER_SHARE} × the model, ${megabytes(MAX_WORKER_SHARE * modelBytes)} | ${cells(worker)} | ${verdict(worker.residentBytes < MAX_WORKER_SHARE * modelBytes)} |
| 1 GB upload, cut after 512 MB, leaves nothing | | | ${left === null ? 'kept' : `EXCEEDED: ${left}`} |

| step | seconds | |
|---|---|---|
${steps.map(({ name, seconds, result }) => `| ${name} | ${seconds.toFixed(1)} | ${result} |`).join('\n')}

| memory of the API during | resident | anonymous |
|---|---|---|
${rows(watch, 'API')}

| memory of the job's process in | resident | anonymous |
|---|---|---|
${rows(watch, 'job')}

| memory of the process that inspects uploads | resident | anonymous |
|---|---|---|
${rows(watch, 'inspection')}
`;
}

function rows(watch: MemoryWatch, role: string): string {
  const peaks = watch.peaksOf(role).map(({ stage, peak }) => `| ${stage} | ${cells(peak)} |`);
  return peaks.join('\n');
}

function cells({ residentBytes, anonymousBytes }: Peak): string {
  return `${megabytes(residentBytes)} | ${megabytes(anonymousBytes)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

async function sizeOf({ files }: LargeModel): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((total, size) => total + size, 0);
}

function commit(): string {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
}

function say(what: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`);
}
