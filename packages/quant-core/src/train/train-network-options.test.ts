import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { planFeeds } from '../data/index.js';
import type { ValueInfo } from '../ir/index.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { stripeNetwork, stripeOptions, stripes } from './testing.js';
import { type TrainOptions, trainNetwork } from './train-network.js';

const train = (t: TestContext, changes: Partial<TrainOptions> = {}) =>
  trainNetwork(stripeNetwork(), { ...stripeOptions(temporaryFolder(t)), ...changes });

test('a network learns from a teacher alone, whose scores take the place of labels', async (t) => {
  const teacher = await train(t);
  const nonsense = stripes(72, () => 0);
  const { curve } = await train(t, {
    data: nonsense,
    loss: { labelSmoothing: 0, distillation: { teacher: teacher.model, weight: 1, temperature: 2 } },
  });
  // Every label is 0, and the teacher says so for one half only.
  assert.equal(curve.at(-1)!.heldOut.top1, 50);
});

test('smoothed labels, short gradients and averaged weights learn as well', async (t) => {
  const { curve } = await train(t, {
    loss: { labelSmoothing: 0.1, distillation: null },
    clipNorm: 1,
    averaging: 0.9,
  });
  assert.equal(curve.at(-1)!.heldOut.top1, 100);
  const lowest = -(0.95 * Math.log(0.95) + 0.05 * Math.log(0.05));
  assert.ok(curve.at(-1)!.trainingLoss > lowest, 'smoothed labels cannot be met with less');
});

test('the best epoch is kept where that is asked for', async (t) => {
  const { curve } = await train(t, { keep: 'best', epochs: 3 });
  const best = curve.filter(({ isBest }) => isBest).at(-1)!;
  assert.equal(best.heldOut.loss, Math.min(...curve.map(({ heldOut }) => heldOut.loss)));
});

test('labels and samples that do not fit the network are refused', async (t) => {
  await assert.rejects(train(t, { data: stripes(72, (sample) => sample % 3) }), {
    code: 'DATASET_LABELS_INVALID',
    message: /sample 2 has the label 2, the network 2 classes/,
  });
  const images = floats([72, 1, 6, 6], new Float32Array(72 * 36));
  const unlabelled = { ...stripes(72), dataset: memoryDataset({ image: images }) };
  await assert.rejects(train(t, { data: unlabelled }), { code: 'DATASET_LABELS_MISSING' });
  const { inputs } = stripeNetwork().graph;
  const wide = memoryDataset({ image: floats([9, 1, 6, 7], new Float32Array(9 * 42)) });
  assert.throws(() => planFeeds(inputs, wide.summary, null), { code: 'DATASET_SHAPE_MISMATCH' });
});

test('a network whose graph fixes the batch is refused', async (t) => {
  const network = stripeNetwork();
  const [{ shape, ...input }] = network.graph.inputs as [ValueInfo];
  network.graph.inputs = [{ ...input, shape: [1, ...shape!.slice(1)] }];
  const { dataset } = stripes(72);
  const feedPlan = planFeeds(network.graph.inputs, dataset.summary, null);
  const options = { ...stripeOptions(temporaryFolder(t)), data: { dataset, feedPlan, digest: '' } };
  await assert.rejects(trainNetwork(network, options), {
    code: 'RECIPE_UNSUPPORTED',
    message: /takes batches of 1 and nothing else/,
  });
});

test('progress tells of every step, up to the whole', async (t) => {
  const shares: number[] = [];
  await train(t, { epochs: 2, onStep: (share) => shares.push(share) });
  assert.deepEqual(
    shares,
    Array.from({ length: 16 }, (_, i) => (i + 1) / 16),
  );
});

test('options that contradict each other are refused, and a teacher for other classes', async (t) => {
  const refused: [Partial<TrainOptions>, RegExp][] = [
    [{ batch: 9 }, /9 samples cannot be cut into 2 parts/],
    [{ heldOut: 70 }, /72 samples are too few for 70/],
    [{ heldOut: 0 }, /No sample is kept aside/],
    [{ statisticsSamples: 3 }, /Statistics of 3 samples/],
  ];
  for (const [changes, message] of refused)
    await assert.rejects(train(t, changes), { code: 'RECIPE_INVALID', message });
  const teacher = stripeNetwork();
  teacher.graph.outputs = [{ name: 'f', dtype: 'float32', shape: ['N', 4] }];
  const distillation = { teacher, weight: 0.5, temperature: 1 };
  await assert.rejects(train(t, { loss: { labelSmoothing: 0, distillation } }), {
    code: 'RECIPE_INVALID',
    message: 'The teacher puts out [4,4], the network [4,2]',
  });
});

test('a training that leaves the range of numbers says so', async (t) => {
  await assert.rejects(train(t, { learningRate: 1e30 }), {
    code: 'RECIPE_INVALID',
    message: /The loss left the range of numbers in epoch 1/,
  });
});
