import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { planFeeds } from '../data/index.js';
import { floats, int64s, memoryDataset } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { smallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type FineTuned, type FineTuneOptions, fineTune } from './fine-tune.js';

const SAMPLES = 64;
/** Of all samples. */
const LABEL = 2;
const TERNARY: Recipe = { weights: { groupSize: 16, solver: 'exact' } };

interface Variant {
  readonly recipe?: Recipe;
  readonly featureWeight?: number;
}

/** Fine-tunes the small network, rounded to ternary weights without looking at data, on random images. */
async function tune(
  t: TestContext,
  { featureWeight, recipe = TERNARY, ...changes }: Partial<FineTuneOptions> & Variant = {},
  count = SAMPLES,
): Promise<FineTuned> {
  const network = await quantizedNetwork(t, smallNetwork(), recipe);
  const { graph } = network.prepared;
  const next = gaussian(seededRandom(5));
  const [input] = graph.inputs;
  const images = floats(
    [count, 3, 12, 12],
    Float32Array.from({ length: count * 432 }, () => next()),
  );
  const dataset = memoryDataset({ [input!.name]: images }, int64s([count], new Array(count).fill(LABEL)));
  const data = { dataset, feedPlan: planFeeds(graph.inputs, dataset.summary, null), digest: '' };
  return fineTune(network, {
    teacher: network.prepared,
    data,
    length: { epochs: 4 },
    patience: null,
    keep: 'best',
    batch: 8,
    threads: 2,
    optimiser: { kind: 'adamw', betas: [0.9, 0.999], epsilon: 1e-8 },
    learningRate: 2e-3,
    schedule: { kind: 'cosine', floor: 0 },
    anchor: 0,
    loss: { kind: 'distill', output: graph.outputs[0]!.name, temperature: 1, scores: 0, labels: null },
    activationQuantizer: 'lsq',
    weightScales: 'least-squares',
    normalizes: false,
    seed: 1,
    augmentation: { input: input!.name, maxShift: 1, mirrors: true },
    scratchDir: temporaryFolder(t),
    features:
      featureWeight === undefined
        ? undefined
        : { layers: network.layers.map(({ layer }) => layer), weight: featureWeight },
    ...changes,
  });
}

const bits = ({ codes, biases, scales }: FineTuned) => [codes, biases, scales].flatMap((map) => [...map.values()]);
const losses = ({ curve }: FineTuned) => curve.map(({ trainingLoss, heldOutLoss }) => [trainingLoss, heldOutLoss]);

test('fine-tuning brings a rounded network nearer to the original on samples that it did not see', async (t) => {
  const { curve } = await tune(t);
  assert.equal(curve.length, 5);
  const [start, ...epochs] = curve;
  assert.equal(start!.trainingLoss, null);
  const best = curve.filter(({ isBest }) => isBest).at(-1)!;
  assert.ok(best.heldOutLoss < 0.6 * start!.heldOutLoss, curve.map(({ heldOutLoss }) => heldOutLoss).join());
  assert.ok(epochs.at(-1)!.trainingLoss! < epochs[0]!.trainingLoss!);
});

test('inputs of layers come nearer to those of the original where they are asked for', async (t) => {
  const [alone, together] = [await tune(t), await tune(t, { featureWeight: 10 })];
  const trainingLosses = [alone, together].map(({ curve }) => curve.map(({ trainingLoss }) => trainingLoss));
  assert.ok(trainingLosses[1]![1]! > trainingLosses[0]![1]!);
  assert.ok(trainingLosses[1]!.at(-1)! < 0.97 * trainingLosses[1]![1]!, `${trainingLosses[1]}`);
  assert.equal(together.curve[0]!.heldOutLoss, alone.curve[0]!.heldOutLoss);
  assert.notDeepEqual(bits(alone), bits(together));
});

test('labels count beside the original where they are asked for', async (t) => {
  const { prepared } = await quantizedNetwork(t, smallNetwork());
  const { name: output, shape } = prepared.graph.outputs[0]!;
  const taught = { kind: 'distill', output, temperature: 1, scores: 0 } as const;
  const labelled = (weight: number) =>
    tune(t, {
      loss: { ...taught, labels: { labelInput: 'labels', rows: 1, classes: Number(shape!.at(-1)), weight } },
      learningRate: 0.02,
    });
  const lossesOf = ({ curve }: FineTuned) => curve.map(({ heldOutLoss }) => heldOutLoss);
  const [alone, half, original] = [await labelled(1), await labelled(0.5), await tune(t)].map(lossesOf);
  // All samples have the same label, which is soon learned.
  assert.ok(Math.min(...alone!) < 0.5 * alone![0]!, `${alone}`);
  assert.ok(
    Math.abs(half![0]! - (alone![0]! + original![0]!) / 2) < 1e-4,
    `${half![0]} of ${alone![0]}, ${original![0]}`,
  );
});

for (const [weightScales, activationQuantizer] of [
  ['least-squares', 'lsq'],
  ['sawb', 'pact'],
  ['learned', 'lsq'],
] as const) {
  test(`uniform weights with ${weightScales} scales and ranges by ${activationQuantizer} learn, normalized by the batch`, async (t) => {
    const recipe: Recipe = { method: 'uniform', weights: { solver: 'exact' }, activations: { bits: 4 } };
    const { curve, codes } = await tune(t, {
      recipe,
      weightScales,
      activationQuantizer,
      normalizes: true,
      length: { epochs: 8 },
    });
    const best = curve.filter(({ isBest }) => isBest).at(-1)!;
    assert.ok(best.heldOutLoss < 0.7 * curve[0]!.heldOutLoss, curve.map(({ heldOutLoss }) => heldOutLoss).join());
    assert.ok([...codes.values()].some(({ kind }) => kind === 'int2'));
  });
}

for (const normalizes of [false, true])
  test(`scales of ternary groups are learned, ${normalizes ? '' : 'not '}normalized by the batch`, async (t) => {
    const { curve, codes } = await tune(t, { weightScales: 'learned', normalizes, length: { epochs: 8 } });
    const best = curve.filter(({ isBest }) => isBest).at(-1)!;
    assert.ok(best.heldOutLoss < 0.6 * curve[0]!.heldOutLoss, curve.map(({ heldOutLoss }) => heldOutLoss).join());
    assert.ok([...codes.values()].some(({ kind }) => kind === 'ternary'));
  });

test('what is pulled back all the way after every step stays where it started', async (t) => {
  const { curve } = await tune(t, { anchor: 1e6, length: { epochs: 2 } });
  const [, first, second] = curve.map(({ heldOutLoss }) => heldOutLoss);
  assert.equal(first, second);
  const free = await tune(t, { length: { epochs: 2 } });
  assert.notEqual(free.curve[1]!.heldOutLoss, free.curve[2]!.heldOutLoss);
});

test('the same seed and number of threads give the same codes and biases', async (t) => {
  const [first, second, other] = [
    await tune(t, { length: { epochs: 1 } }),
    await tune(t, { length: { epochs: 1 } }),
    await tune(t, { length: { epochs: 1 }, seed: 2 }),
  ];
  assert.deepEqual(bits(first), bits(second));
  assert.notDeepEqual(bits(first), bits(other));
});

for (const normalizes of [false, true])
  test(`a training that was stopped goes on behind its last whole epoch, to the same codes and biases, ${normalizes ? '' : 'not '}normalized`, async (t) => {
    const checkpoint = { path: join(temporaryFolder(t), 'training'), identity: 'this network' };
    const length = { epochs: 3 };
    const whole = await tune(t, { normalizes, length });
    const controller = new AbortController();
    const onEpoch = ({ epoch }: { epoch: number }) => epoch === 2 && controller.abort();
    await assert.rejects(tune(t, { normalizes, length, checkpoint, onEpoch, signal: controller.signal }), {
      code: 'CANCELED',
    });
    const judged: number[] = [];
    const resumed = await tune(t, { normalizes, length, checkpoint, onEpoch: ({ epoch }) => judged.push(epoch) });
    assert.deepEqual(judged, [3]);
    assert.deepEqual(bits(resumed), bits(whole));
    assert.deepEqual(losses(resumed), losses(whole));
  });

test('the state of another training is not gone on from', async (t) => {
  const checkpoint = { path: join(temporaryFolder(t), 'training'), identity: 'this network' };
  const length = { epochs: 1 };
  await tune(t, { length, checkpoint });
  const other = await tune(t, { length, seed: 2, checkpoint: { ...checkpoint, identity: 'another seed' } });
  assert.deepEqual(bits(other), bits(await tune(t, { length, seed: 2 })));
});

test('few samples are trained on in small batches, and too few are refused', async (t) => {
  const { samples, heldOutSamples, batch } = await tune(t, { length: { epochs: 1 } }, 9);
  assert.deepEqual({ samples, heldOutSamples, batch }, { samples: 8, heldOutSamples: 1, batch: 2 });
  await assert.rejects(tune(t, {}, 7), {
    code: 'DATASET_TOO_SMALL',
    message: /There are 7 samples .* takes 8 or more/,
  });
});

test('minutes end a training wherever it is, with a last judgement', async (t) => {
  const { curve } = await tune(t, { length: { minutes: 0.1 } });
  assert.ok(curve.length > 1);
  assert.ok(curve.at(-1)!.seconds > 2, `ended after ${curve.at(-1)!.seconds} s`);
});

test('steps that lead away change nothing', async (t) => {
  const { curve, codes, biases } = await tune(t, { learningRate: 10, length: { epochs: 2 } });
  assert.deepEqual(
    curve.map(({ isBest }) => isBest),
    [true, false, false],
  );
  assert.equal(codes.size + biases.size, 0);
});

test('a training that leaves the numbers ends there', async (t) => {
  const { curve, divergedAt, codes } = await tune(t, {
    optimiser: { kind: 'sgd', momentum: 0.9, nesterov: false },
    learningRate: 1e20,
    length: { epochs: 9 },
  });
  assert.deepEqual([curve.length, divergedAt, codes.size], [1, 1, 0]);
});

test('patience ends a training that gets no better', async (t) => {
  const { curve } = await tune(t, { learningRate: 10, length: { epochs: 9 }, patience: 2 });
  assert.equal(curve.length, 3);
});

test('the last epoch is kept where that is asked for, unless the start is better', async (t) => {
  // So large a rate that the least loss is not the last.
  const changes = { length: { epochs: 6 }, learningRate: 0.1 };
  const [best, last] = [await tune(t, changes), await tune(t, { ...changes, keep: 'last' })];
  assert.deepEqual(losses(last), losses(best));
  const kept = (curve: FineTuned['curve']) => curve.findLast(({ isBest }) => isBest)!;
  const least = Math.min(...best.curve.map(({ heldOutLoss }) => heldOutLoss));
  assert.equal(kept(best.curve).heldOutLoss, least);
  assert.equal(
    kept(last.curve),
    last.curve.findLast(({ heldOutLoss }) => heldOutLoss < last.curve[0]!.heldOutLoss),
  );
  assert.ok(kept(last.curve).heldOutLoss > least);
  const worse = await tune(t, { learningRate: 10, length: { epochs: 2 }, keep: 'last' });
  assert.deepEqual([kept(worse.curve).epoch, worse.codes.size], [0, 0]);
});

test('a training that is to settle ends at once, with the best so far', async (t) => {
  const controller = new AbortController();
  const { curve, codes } = await tune(t, {
    length: { epochs: 1000 },
    onEpoch: ({ epoch }) => epoch === 2 && controller.abort(),
    settle: controller.signal,
  });
  assert.equal(curve.length, 3);
  assert.ok(codes.size > 0);
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
