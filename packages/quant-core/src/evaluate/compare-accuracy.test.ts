import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { planFeeds } from '../data/feed-plan.js';
import { type Model, tensorFromFloats } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Session } from '../runtime/runtime.js';
import { floats, int64s, memoryDataset } from '../testing/memory-dataset.js';
import { tinyModel } from '../testing/tiny-model.js';
import { compareAccuracy } from './compare-accuracy.js';
import { evaluateModel } from './evaluate-model.js';

const runtime = createOnnxRuntime();
const sessions: Session[] = [];
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritforge-accuracy-'));
});
after(async () => {
  for (const session of sessions) await session.release();
  await rm(folder, { recursive: true });
});

/** y = x + bias, two classes; `batch` is the first dimension. */
function biased(bias: readonly [number, number], batch: number | string = 'N'): Model {
  return tinyModel({
    inputs: [['x', 'float32', [batch, 2]]],
    outputs: [['y', 'float32', [batch, 2]]],
    nodes: [{ op: 'Add', inputs: ['x', 'bias'], outputs: ['y'] }],
    constants: { bias: tensorFromFloats([2], Float32Array.from(bias)) },
  });
}

async function load(model: Model): Promise<Session> {
  const path = join(folder, `${sessions.length}.onnx`);
  await writeModel(model, path);
  const session = await runtime.load(path, { threads: 1, optimization: 'all' });
  sessions.push(session);
  return session;
}

/** Ten samples of class 0 by margins 1 to 10, all labelled 0; a bias on class 1 of b turns those below b around. */
const margins = Float32Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? i / 2 + 1 : 0));
const dataset = memoryDataset({ x: floats([10, 2], margins) }, int64s([10], new Array<number>(10).fill(0)));
const unlabelled = memoryDataset({ x: floats([10, 2], margins) });

async function request(batch: number | string = 'N') {
  const original = await load(biased([0, 0], batch));
  return {
    original,
    quantized: await load(biased([0, 3.5], batch)),
    int8: await load(biased([0, 1.5], batch)),
    feedPlan: planFeeds(original.inputs, dataset.summary, null),
  };
}

const EXPECTED = {
  metric: 'top1',
  samples: 10,
  original: 100,
  int8: 90,
  quantized: 70,
  drop: 30,
  // Three differences of 100 and seven of 0: variance 100² · (3·.7² + 7·.3²) / 9, over 10 samples.
  pairedStandardError: Math.sqrt((1e4 * (3 * 0.49 + 7 * 0.09)) / 9 / 10),
  agreement: 70,
};

test('the report gives each model, the drop with its paired standard error, and the agreement', async () => {
  assert.deepEqual(await compareAccuracy({ ...(await request()), dataset }), EXPECTED);
});

test('a model with a fixed batch scores the same; its padding is not scored', async () => {
  assert.deepEqual(await compareAccuracy({ ...(await request(4)), dataset }), EXPECTED);
});

test('a lower mse is better: the drop is how much it grows', async () => {
  const report = await compareAccuracy({ ...(await request()), dataset: unlabelled, metric: 'mse' });
  assert.equal(report.original, 0);
  assert.equal(report.quantized, 3.5 ** 2 / 2);
  assert.equal(report.drop, 3.5 ** 2 / 2);
  assert.equal(report.pairedStandardError, 0);
});

test('without labels or a baseline the report says so', async () => {
  const { int8: _, ...models } = await request();
  const report = await compareAccuracy({ ...models, dataset: unlabelled, metric: 'agreement' });
  assert.deepEqual([report.metric, report.original, report.quantized, report.int8], ['agreement', 100, 70, null]);
});

test('a model that gives NaN gets a number that JSON can carry', async () => {
  const { original, feedPlan } = await request();
  const quantized = await load(biased([Number.NaN, Number.NaN]));
  const report = await compareAccuracy({ original, quantized, feedPlan, dataset: unlabelled, metric: 'mse' });
  assert.equal(report.quantized, Number.MAX_VALUE);
  assert.equal(report.pairedStandardError, null);
});

test('one model alone is scored and timed, samples counted on the way', async () => {
  const path = join(folder, 'alone.onnx');
  await writeModel(biased([0, 2.5]), path);
  const seen: [number, number][] = [];
  const onProgress = (done: number, total: number) => seen.push([done, total]);
  const evaluation = await evaluateModel({ modelPath: path, dataset, runtime, onProgress });
  assert.equal(evaluation.metric, 'top1');
  assert.equal(evaluation.value, 80);
  assert.equal(evaluation.output, 'y');
  assert.equal(evaluation.samples, 10);
  assert.ok(evaluation.latency.medianMs > 0 && evaluation.latency.runs >= 3);
  assert.deepEqual(seen.at(-1), [10, 10]);
  await assert.rejects(evaluateModel({ modelPath: path, dataset: unlabelled, runtime }), {
    code: 'DATASET_LABELS_MISSING',
  });
});
