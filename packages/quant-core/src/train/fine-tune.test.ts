import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { planFeeds } from '../data/index.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { smallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type FineTuned, type FineTuneOptions, fineTune } from './fine-tune.js';

const SAMPLES = 64;

/** Fine-tunes the small network, rounded to ternary weights without looking at data, on random images. */
async function tune(t: TestContext, changes: Partial<FineTuneOptions> = {}): Promise<FineTuned> {
  const network = await quantizedNetwork(t, smallNetwork(), { weights: { groupSize: 16, solver: 'exact' } });
  const { graph } = network.prepared;
  const next = gaussian(seededRandom(5));
  const [input] = graph.inputs;
  const images = floats(
    [SAMPLES, 3, 12, 12],
    Float32Array.from({ length: SAMPLES * 432 }, () => next()),
  );
  const dataset = memoryDataset({ [input!.name]: images });
  const data = { dataset, feedPlan: planFeeds(graph.inputs, dataset.summary, null), digest: '' };
  return fineTune(network, {
    data,
    length: { epochs: 4 },
    batch: 8,
    threads: 2,
    optimiser: { kind: 'adamw', betas: [0.9, 0.999], epsilon: 1e-8 },
    learningRate: 2e-3,
    schedule: { kind: 'cosine', floor: 0 },
    loss: { temperature: 1, scores: 0 },
    seed: 1,
    augmentation: { input: input!.name, maxShift: 1, mirrors: true },
    scratchDir: temporaryFolder(t),
    ...changes,
  });
}

test('fine-tuning brings a rounded network nearer to the original on samples that it did not see', async (t) => {
  const { curve } = await tune(t);
  assert.equal(curve.length, 5);
  const [start, ...epochs] = curve;
  assert.equal(start!.trainingLoss, null);
  const best = curve.filter(({ isBest }) => isBest).at(-1)!;
  assert.ok(best.heldOutLoss < 0.6 * start!.heldOutLoss, curve.map(({ heldOutLoss }) => heldOutLoss).join());
  assert.ok(epochs.at(-1)!.trainingLoss! < epochs[0]!.trainingLoss!);
});

test('the same seed and number of threads give the same codes and biases', async (t) => {
  const [first, second, other] = [
    await tune(t, { length: { epochs: 1 } }),
    await tune(t, { length: { epochs: 1 } }),
    await tune(t, { length: { epochs: 1 }, seed: 2 }),
  ];
  const bits = ({ codes, biases }: FineTuned) => [...codes.values(), ...biases.values()];
  assert.deepEqual(bits(first), bits(second));
  assert.notDeepEqual(bits(first), bits(other));
});

test('steps that lead away change nothing', async (t) => {
  const { curve, codes, biases } = await tune(t, { learningRate: 10, length: { epochs: 2 } });
  assert.deepEqual(
    curve.map(({ isBest }) => isBest),
    [true, false, false],
  );
  assert.equal(codes.size + biases.size, 0);
});

test('a cancelled training ends with its threads', async (t) => {
  const controller = new AbortController();
  const running = tune(t, {
    length: { epochs: 1000 },
    onEpoch: ({ epoch }) => epoch === 1 && controller.abort(),
    signal: controller.signal,
  });
  await assert.rejects(running, { code: 'CANCELED' });
});
