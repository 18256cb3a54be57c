import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Phase, Recipe, Report } from '@tritforge/contracts';
import { openDataset } from './data/index.js';
import { type QuantizeRequest, quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { killedIn } from './testing/killed-quantization.js';
import { smallRequest } from './testing/quantize-request.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { writeWideNetwork } from './testing/wide-network.js';

const START: Recipe = { weights: { groupSize: 16, solver: 'exact' } };
const FINE_TUNE: NonNullable<Recipe['fineTune']> = { epochs: 6, batch: 8, learningRate: 0.01 };
const TUNED: Recipe = { ...START, fineTune: FINE_TUNE };

/** On a network that a few images are enough to improve. */
async function wideRequest(t: TestContext, recipe: Recipe, sharesLayers = false): Promise<QuantizeRequest> {
  const { modelPath, datasetPath } = await writeWideNetwork(temporaryFolder(t), sharesLayers);
  const data = { path: datasetPath };
  return smallRequest(t, recipe, { modelPath, calibration: data, evaluation: data });
}

function run(request: QuantizeRequest): Promise<Report> {
  return quantize(request, { runtime: createOnnxRuntime() });
}

test('a job fine-tunes where its recipe asks for it, and reports the curve', async (t) => {
  const request = await wideRequest(t, TUNED);
  const phases: Phase[] = [];
  const details: string[] = [];
  const report = await quantize(request, {
    runtime: createOnnxRuntime(),
    onProgress: ({ phase, detail }) => {
      if (phases.at(-1) !== phase) phases.push(phase);
      if (detail !== undefined) details.push(detail);
    },
  });
  assert.match(details.at(-1)!, /^epoch 6, loss [\d.e-]+, on samples kept aside [\d.e-]+, [\d.e-]+ at the start$/);
  assert.deepEqual(phases.slice(phases.indexOf('quantize'), -2), ['quantize', 'fineTune', 'encode']);
  const { curve, bestEpoch, samples, heldOutSamples, workers, batch } = report.fineTune!;
  assert.deepEqual(
    { samples, heldOutSamples, workers, batch },
    { samples: 35, heldOutSamples: 4, workers: 2, batch: 8 },
  );
  assert.equal(curve.length, 7);
  assert.ok(bestEpoch > 0 && curve[bestEpoch]!.heldOutLoss < curve[0]!.heldOutLoss);
  assert.equal(curve[bestEpoch]!.heldOutLoss, Math.min(...curve.map(({ heldOutLoss }) => heldOutLoss)));
  const before = await run(await wideRequest(t, START));
  assert.equal(before.fineTune, undefined);
  assert.notEqual(report.artifacts[0]!.digest, before.artifacts[0]!.digest);
  assert.equal(report.artifacts[0]!.sizeBytes, before.artifacts[0]!.sizeBytes);
  assert.deepEqual(report.artifacts[0]!.verification.passed, true);
  assert.deepEqual(readdirSync(request.scratchDir), []);
});

const nce = (macs: number): Recipe => ({ method: 'nce', nce: { epochs: 2, budgets: { macs } } });
/** What is trained, and by which rate. */
const TRAINED: Readonly<Record<string, { recipe: Recipe; learningRate: number; sharesLayers?: boolean }>> = {
  'ternary weights': { recipe: START, learningRate: 0.01 },
  'ternary weights of layers that share some': { recipe: START, learningRate: 0.01, sharesLayers: true },
  'int8 weights': { recipe: { method: 'int8' }, learningRate: 1e-4 },
  'uniform weights, normalized by the batch, and inputs of 2 bits': {
    recipe: { method: 'uniform' },
    learningRate: 0.01,
  },
  'uniform weights of layers that share some': {
    recipe: { method: 'uniform' },
    learningRate: 0.001,
    sharesLayers: true,
  },
  'other numbers of channels': { recipe: nce(0.7), learningRate: 0.01 },
  'other numbers of channels of layers that share some': { recipe: nce(0.95), learningRate: 0.003, sharesLayers: true },
};

for (const [what, { recipe, learningRate, sharesLayers }] of Object.entries(TRAINED))
  test(`the artifact does on samples kept aside what its training said that it would: ${what}`, async (t) => {
    const fineTune: Recipe['fineTune'] = { ...FINE_TUNE, learningRate, loss: 'mse' };
    const request = await wideRequest(t, { ...recipe, fineTune }, sharesLayers);
    const report = await run(request);
    const dataset = await openDataset(request.calibration!.path, { preprocess: null, scratchDir: request.scratchDir });
    const outputs = await Promise.all(
      [request.modelPath, join(request.outputDir, report.artifacts[0]!.fileName)].map(async (path) => {
        const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'all' });
        // One in eight is kept aside, and 4 of the 5 fill a batch.
        for await (const { inputs } of dataset.batches({ batchSize: 4, indices: [7, 15, 23, 31] }))
          return (await session.run(inputs)).get('logits')!.data as Float32Array;
        throw new Error('no samples');
      }),
    );
    await dataset.close();
    const [original, quantized] = outputs as [Float32Array, Float32Array];
    const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
    const error = squares(original.map((value, i) => value - quantized[i]!)) / squares(original);
    const { curve, bestEpoch } = report.fineTune!;
    const { heldOutLoss } = curve[bestEpoch]!;
    // Sums of floats are rounded here and those of integers are not.
    assert.ok(Math.abs(error - heldOutLoss) < 1e-5 * heldOutLoss, `${error} instead of ${heldOutLoss}`);
    assert.ok(bestEpoch > 0);
  });

test('the same job gives the same bytes, also when it was killed in between', async (t) => {
  const whole = await run(await wideRequest(t, TUNED));
  const request = { ...(await wideRequest(t, TUNED)), checkpointDir: join(temporaryFolder(t), 'checkpoints') };
  killedIn('fineTune', 500, request);
  assert.ok(readdirSync(request.checkpointDir).includes('fine-tuning.training'));
  const resumed = await run(request);
  assert.equal(resumed.artifacts[0]!.digest, whole.artifacts[0]!.digest);
  const losses = ({ fineTune }: Report) => fineTune!.curve.map(({ seconds: _, ...point }) => point);
  assert.deepEqual(losses(resumed), losses(whole));
});

test('training data take the place of calibration data, and are in the provenance', async (t) => {
  const request = await wideRequest(t, { ...TUNED, fineTune: { ...FINE_TUNE, epochs: 1 } });
  const report = await run({ ...request, calibration: request.calibration, training: request.evaluation });
  assert.deepEqual(
    report.provenance.datasets.map(({ role }) => role),
    ['calibration', 'evaluation', 'training'],
  );
});

test('other methods are fine-tuned too, and scales of 4-bit activations with them', async (t) => {
  const fineTune = { ...FINE_TUNE, epochs: 1, augment: { shift: 1, mirror: true, mix: true } };
  for (const recipe of [
    { method: 'int8', fineTune },
    { method: 'int4', weights: { groupSize: 16 }, fineTune: { ...fineTune, loss: 'mse', optimiser: 'sgd' } },
    { weights: { groupSize: 16, residualPlanes: 1 }, activations: { bits: 4, minimumSqnrDb: null }, fineTune },
  ] as const satisfies Recipe[]) {
    const report = await run(await smallRequest(t, recipe));
    assert.equal(report.fineTune!.curve.length, 2, JSON.stringify(recipe));
  }
});

test('what cannot be trained says so, and why', async (t) => {
  const { calibration: _, ...alone } = await wideRequest(t, {
    ...TUNED,
    activations: { bits: null },
  });
  await assert.rejects(run(alone), { code: 'CALIBRATION_REQUIRED', message: /recipe\.fineTune needs samples/ });
  const fixed = await wideRequest(t, { ...TUNED, fineTune: { ...FINE_TUNE, batch: 64, workers: 64 } });
  await assert.rejects(run(fixed), { code: 'DATASET_TOO_SMALL' });
});
