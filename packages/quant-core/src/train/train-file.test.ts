import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDataset, writeNpz } from '../data/index.js';
import { evaluateModel } from '../evaluate/index.js';
import type { Model } from '../ir/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { stripeNetwork, stripeOptions, stripes } from './testing.js';
import { trainFile } from './train-file.js';

test('a file is trained from a file of samples, and stock onnxruntime finds in it the accuracy that was reached', async (t) => {
  const folder = temporaryFolder(t);
  const [modelPath, samples, outputPath] = ['model.onnx', 'samples.npz', 'trained.onnx'].map((name) =>
    join(folder, name),
  );
  const model = stripeNetwork();
  await writeModel(model, modelPath!);
  const all = stripes(72);
  for await (const { inputs, labels } of all.dataset.batches({ batchSize: 72 }))
    await writeNpz(samples!, new Map([...inputs, ['labels', labels!]]));
  const { data: _, ...options } = stripeOptions(folder);
  const runtime = createOnnxRuntime();
  const { curve } = await trainFile(
    { ...options, epochs: 6, modelPath: modelPath!, training: { path: samples! }, outputPath: outputPath! },
    runtime,
  );
  assert.equal(curve.length, 6);
  const dataset = await openDataset(samples!, { scratchDir: folder });
  t.after(() => dataset.close());
  const { value } = await evaluateModel({ modelPath: outputPath!, dataset, metric: 'top1', runtime });
  assert.ok(value > 95, `${value} %`);
  const types = ({ graph }: Model) =>
    [...graph.inputs, ...graph.outputs].map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  assert.deepEqual(types(await readModel(outputPath!)), types(model), 'it is called as before');
  assert.deepEqual(readdirSync(folder).sort(), ['model.onnx', 'samples.npz', 'trained.onnx']);
});
