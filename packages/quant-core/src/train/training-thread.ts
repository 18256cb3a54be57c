/** A thread that computes losses and gradients of batches: see training-threads.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { HostTensor } from '../runtime/runtime.js';
import { augment } from './augment.js';
import type { ThreadAnswer, ThreadSetup, ThreadTask } from './messages.js';
import { SampleReader } from './sample-store.js';

const setup = workerData as ThreadSetup;
const runtime = createOnnxRuntime();
const options = { threads: 1, optimization: 'all' } as const;
const reader = new SampleReader(setup.store);
const parameters = new Float32Array(setup.parameters);
const gradient = new Float32Array(setup.gradient);
const ready = Promise.all(
  [setup.trainingGraph, setup.lossGraph, setup.teacher.path].map((path) => runtime.load(path, options)),
);
// Whoever asks first hears of it.
ready.catch(() => {});

parentPort!.on('message', async (task: ThreadTask | null) => {
  if (task !== null) parentPort!.postMessage(await answer(task));
  else await close();
});

/** Ends the thread: nothing keeps it alive any more. */
async function close(): Promise<void> {
  for (const session of await ready.catch(() => [])) await session.release();
  reader.close();
  parentPort!.close();
}

async function answer(task: ThreadTask): Promise<ThreadAnswer> {
  try {
    return { loss: await run(task) };
  } catch (error) {
    return error instanceof TritforgeError ? { known: error.toJSON() } : { error };
  }
}

async function run({ records, seed }: ThreadTask): Promise<number> {
  const [training, loss, teacher] = await ready;
  const batch = reader.read(records);
  if (seed !== null && setup.augmentation !== null) {
    const { input } = setup.augmentation;
    batch.set(input, augment(batch.get(input)!, setup.augmentation, seed));
  }
  const { targets } = setup.teacher;
  const outputs = await teacher!.run(batch, [...targets.keys()]);
  const feeds = new Map<string, HostTensor>([
    ...batch,
    ...[...targets].map(([output, input]) => [input, outputs.get(output)!] as const),
    // onnxruntime takes no shared memory.
    [setup.names.parameters, { dtype: 'float32', shape: [parameters.length], data: parameters.slice() }],
  ]);
  const results = await (seed === null ? loss! : training!).run(feeds);
  if (seed !== null) gradient.set(results.get(setup.names.gradient)!.data as Float32Array);
  return (results.get(setup.names.loss)!.data as Float32Array)[0]!;
}
