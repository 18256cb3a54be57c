/** A thread that computes losses and gradients of batches: see training-threads.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { elementCount } from '../ir/index.js';
import type { Feeds, HostTensor, Session } from '../runtime/runtime.js';
import { createTrainingRuntime } from '../runtime/training-runtime.js';
import { augment } from './augment.js';
import { cropImages } from './crop-images.js';
import { projectWeight } from './latent-weight.js';
import type { ThreadAnswer, ThreadSetup, ThreadTask } from './messages.js';
import { mixSamples } from './mix-samples.js';
import { SampleReader } from './sample-store.js';

const setup = workerData as ThreadSetup;
const runtime = createTrainingRuntime();
const options = { threads: 1, optimization: 'all' } as const;
const reader = new SampleReader(setup.store);
const parameters = new Float32Array(setup.parameters);
const gradient = new Float32Array(setup.gradient);
/** Takes the gradients of runs where a task has several. */
let partial: Float32Array | undefined;
const latent = new Float32Array(setup.latent.values);
/** Between the seeds of runs of one task; those of threads are next to each other. */
const SEED_STRIDE = 2 ** 16;
/** By path, each loaded once. */
const sessions = new Map(pathsOf(setup).map((path) => [path, runtime.load(path, options)]));
// Whoever asks first hears of it.
for (const session of sessions.values()) session.catch(() => {});

parentPort!.on('message', async (task: ThreadTask | null) => {
  if (task !== null) parentPort!.postMessage(await answer(task));
  else await close();
});

function pathsOf({ trainingGraph, lossGraph, teacher, vectorGraphs = new Map() }: ThreadSetup): string[] {
  const further = [...vectorGraphs.values()].map(({ path }) => path);
  return [trainingGraph, lossGraph?.path ?? trainingGraph, teacher?.path ?? trainingGraph, ...further];
}

/** Ends the thread: nothing keeps it alive any more. */
async function close(): Promise<void> {
  for (const session of sessions.values()) await session.then((loaded) => loaded.release()).catch(() => {});
  reader.close();
  parentPort!.close();
}

async function answer(task: ThreadTask): Promise<ThreadAnswer> {
  try {
    return await run(task);
  } catch (error) {
    return error instanceof TritforgeError ? { known: error.toJSON() } : { error };
  }
}

async function run(task: ThreadTask): Promise<ThreadAnswer> {
  if (task.kind === 'project') return project(task);
  if (task.kind === 'vector') return { vector: await vectorOf(task.graph, reader.read(task.records)) };
  const { records } = task;
  const size = setup.recordsPerRun ?? records.length;
  const runs = Array.from({ length: records.length / size }, (_, i) => records.slice(i * size, (i + 1) * size));
  if (task.kind === 'gradient') gradient.fill(0);
  let loss = 0;
  for (const [i, part] of runs.entries()) {
    const batch = reader.read(part);
    const varied = task.seed === null ? batch : vary(batch, task.seed + SEED_STRIDE * i);
    loss += (await runOnce(task.kind, varied, 1 / runs.length)) / runs.length;
  }
  return { loss };
}

function project({ weights, biases }: Extract<ThreadTask, { kind: 'project' }>): ThreadAnswer {
  for (const i of weights) projectWeight(latent, setup.latent.weights[i]!, parameters, biases);
  return { done: true };
}

/** @param share of the task that the run is: its gradient counts for so much */
async function runOnce(kind: 'gradient' | 'loss', batch: Feeds, share: number): Promise<number> {
  const feeds = new Map([...batch, ...(await targetsOf(batch))]);
  const { trainingGraph, lossGraph, names } = setup;
  const training = { path: trainingGraph, output: names.loss, parameters: names.parameters };
  const { path, output, parameters: input } = kind === 'loss' ? lossGraph! : training;
  const results = await compute(path, feeds, input, kind === 'gradient' ? await gradientTarget(share) : undefined);
  if (kind === 'gradient') addShare(results.get(names.gradient)!.data as Float32Array, share);
  return (results.get(output)!.data as Float32Array)[0]!;
}

/** Where the gradient of a run is to be written. Parameters that the graph does not know have none. */
async function gradientTarget(share: number): Promise<Feeds> {
  const { outputs } = await sessions.get(setup.trainingGraph)!;
  const shape = outputs.find(({ name }) => name === setup.names.gradient)!.shape as number[];
  const count = elementCount(shape);
  if (share !== 1) partial ??= new Float32Array(count);
  const data = share === 1 ? gradient.subarray(0, count) : partial!;
  return new Map([[setup.names.gradient, { dtype: 'float32', shape, data }]]);
}

function addShare(part: Float32Array, share: number): void {
  if (part.buffer === gradient.buffer) return;
  if (share === 1) gradient.set(part);
  else for (let i = 0; i < part.length; i++) gradient[i]! += part[i]! * share;
}

function vary(batch: Map<string, HostTensor>, seed: number): Map<string, HostTensor> {
  if (setup.augmentation === null) return batch;
  const { input, leastArea, mixes } = setup.augmentation;
  const whole = batch.get(input)!;
  const windows = leastArea === undefined ? whole : cropImages(whole, leastArea, seed);
  const varied = augment(windows, setup.augmentation, seed);
  return batch.set(input, mixes ? mixSamples(varied, seed) : varied);
}

async function vectorOf(name: string, batch: Feeds): Promise<Float32Array> {
  const { path, output, parameters: input } = setup.vectorGraphs!.get(name)!;
  return (await compute(path, batch, input)).get(output)!.data as Float32Array;
}

async function targetsOf(batch: Feeds): Promise<Map<string, HostTensor>> {
  if (setup.teacher === null) return new Map();
  const { path, targets } = setup.teacher;
  const session = await sessions.get(path)!;
  const outputs = await session.run(takenBy(session, batch), [...targets.keys()]);
  return new Map([...targets].map(([output, input]) => [input, outputs.get(output)!]));
}

async function compute(
  path: string,
  feeds: Feeds,
  parameterInput: string,
  into?: Feeds,
): Promise<Map<string, HostTensor>> {
  const session = await sessions.get(path)!;
  const [length] = session.inputs.find(({ name }) => name === parameterInput)!.shape as [number];
  const vector: HostTensor = { dtype: 'float32', shape: [length], data: parameters.subarray(0, length) };
  return session.run(new Map([...takenBy(session, feeds), [parameterInput, vector]]), undefined, into);
}

/** Those tensors that are inputs. */
function takenBy({ inputs }: Session, feeds: Feeds): Map<string, HostTensor> {
  return new Map(inputs.flatMap(({ name }) => (feeds.has(name) ? [[name, feeds.get(name)!] as const] : [])));
}
