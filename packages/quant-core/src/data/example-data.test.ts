import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Preprocess } from '@tritforge/contracts';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { planFeeds } from './feed-plan.js';
import { feedsOf } from './feeds.js';
import { inspectDataset } from './open-dataset.js';
import { withDataset } from './testing/read-batches.js';

const example = (file: string) => fileURLToPath(new URL(`../../../../examples/shapes/${file}`, import.meta.url));

test('the example model has the accuracy that its README states on its evaluation images', async () => {
  const preprocess = JSON.parse(await readFile(example('preprocess.json'), 'utf8')) as Preprocess;
  const stated = /fp32 top-1 is ([\d.]+) %/.exec(await readFile(example('README.md'), 'utf8'))![1]!;
  const session = await createOnnxRuntime().load(example('model.onnx'), { threads: 1, optimization: 'all' });
  const correct = await withDataset(example('evaluation.zip'), { preprocess }, async (dataset) => {
    const plan = planFeeds(session.inputs, dataset.summary, preprocess);
    let hits = 0;
    for await (const batch of dataset.batches({ batchSize: 128 })) {
      const labels = batch.labels!.data as BigInt64Array;
      for (const { feeds } of feedsOf(plan, batch)) {
        const logits = (await session.run(feeds)).get('logits')!;
        const classes = logits.shape[1]!;
        for (let i = 0; i < batch.count; i++) {
          const row = (logits.data as Float32Array).subarray(i * classes, (i + 1) * classes);
          if (row.indexOf(Math.max(...row)) === Number(labels[i])) hits++;
        }
      }
    }
    return hits / dataset.sampleCount;
  });
  await session.release();
  // One image of 1024 is 0.1 points: processors round differently.
  assert.ok(Math.abs(100 * correct - Number(stated)) < 0.3, `${100 * correct} %, the README says ${stated} %`);
});

test('the example calibration images are one array that goes into the model', async () => {
  const preprocess = JSON.parse(await readFile(example('preprocess.json'), 'utf8')) as Preprocess;
  const summary = await inspectDataset(example('calibration.npz'), { preprocess });
  assert.deepEqual(summary.arrays, [{ name: 'image', dtype: 'uint8', shape: [256, 3, 24, 24] }]);
  const plan = planFeeds([{ name: 'image', dtype: 'float32', shape: ['N', 3, 24, 24] }], summary, preprocess);
  assert.deepEqual([plan.batched, plan.runSamples], [true, null]);
});
