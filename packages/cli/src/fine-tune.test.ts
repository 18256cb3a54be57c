import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FineTune, type Recipe, Report } from '@tritforge/contracts';
import { writeNpz } from '@tritforge/quant-core';
import { Value } from 'typebox/value';
import { numberLike } from './flags.js';
import { recipeOf } from './recipe-flags.js';
import { CALIBRATION, folder, MODEL, newPath, PREPROCESS, tritforge } from './testing/run-cli.js';

test('any flag of fine-tuning asks for it, training data too', async () => {
  const trainingOf = async (flags: object) => (await recipeOf({ recipe: 'fgq', ...flags })).fineTune;
  assert.equal(await trainingOf({}), undefined);
  assert.deepEqual(await trainingOf({ training: 'images.zip' }), {});
  assert.deepEqual(await trainingOf({ fineTune: true }), {});
  assert.deepEqual(await trainingOf({ fineTune: 0.5 }), { minutes: 0.5 });
  assert.deepEqual(await trainingOf({ fineTuneEpochs: 3 }), { epochs: 3 });
  assert.deepEqual(await trainingOf({ fineTune: true, fineTuneEpochs: 3 }), { epochs: 3 });
  assert.deepEqual(await trainingOf({ fineTuneLoss: 'mse', fineTuneLearningRate: 0.01 }), {
    loss: 'mse',
    learningRate: 0.01,
  });
  assert.deepEqual(await trainingOf({ fineTuneBatch: 48, fineTuneWorkers: 3 }), { batch: 48, workers: 3 });
  assert.deepEqual(await trainingOf({ fineTuneShift: 0 }), { augment: { shift: 0 } });
  assert.deepEqual(await trainingOf({ fineTuneMirror: true, fineTuneMix: true }), {
    augment: { mirror: true, mix: true },
  });
});

test('flags change the training of a recipe, and another length takes the place of its own', async () => {
  const recipe = join(folder, 'fine-tune.json');
  const fineTune = { minutes: 30, learningRate: 1e-4, augment: { shift: 2 } };
  writeFileSync(recipe, JSON.stringify({ fineTune }));
  const trainingOf = async (flags: object) => (await recipeOf({ recipe, ...flags })).fineTune;
  assert.deepEqual(await trainingOf({}), fineTune);
  assert.deepEqual(await trainingOf({ fineTune: true }), fineTune);
  assert.deepEqual(await trainingOf({ fineTuneMirror: true }), { ...fineTune, augment: { shift: 2, mirror: true } });
  const { minutes: _, ...rest } = fineTune;
  assert.deepEqual(await trainingOf({ fineTuneEpochs: 2 }), { ...rest, epochs: 2 });
  assert.deepEqual(await trainingOf({ fineTune: 5, fineTuneLearningRate: 1e-3 }), {
    ...fineTune,
    minutes: 5,
    learningRate: 1e-3,
  });
  await assert.rejects(trainingOf({ fineTune: 5, fineTuneEpochs: 2 }), { code: 'RECIPE_INVALID' });
});

test('numbers are taken within the bounds of the recipe, and a refusal names them', () => {
  const { minutes, batch, augment } = FineTune.properties;
  assert.deepEqual([numberLike(minutes)('0.5'), numberLike(batch)('4096')], [0.5, 4096]);
  assert.equal(numberLike(augment.properties.shift)('0'), 0);
  for (const text of ['0', '-1', '10081', 'soon', '', ' ', 'NaN', 'Infinity']) {
    assert.throws(() => numberLike(minutes)(text), /Give a number above 0 to 10080/, text);
  }
  for (const text of ['0', '4097', '1.5', 'many', '']) {
    assert.throws(() => numberLike(batch)(text), /Give an integer from 1 to 4096/, text);
  }
});

// Seven eighths of the samples are three batches, the last eighth is held out.
test('fine-tunes on training data, and says what came of it', async () => {
  const training = join(folder, 'training.npz');
  const calibration = join(folder, 'few.npz');
  await writeNpz(training, new Map([['image', images(48)]]));
  await writeNpz(calibration, new Map([['image', images(16)]]));
  const out = newPath();
  const run = await tritforge(
    ...['quantize', MODEL, '--out', out, '--calibration', calibration, '--training', training, ...PREPROCESS],
    ...['--fine-tune-epochs', '2', '--fine-tune-batch', '14', '--fine-tune-learning-rate', '0.001'],
    ...['--fine-tune-shift', '1', '--fine-tune-mirror'],
  );
  assert.equal(run.exitCode, 0, run.stderr);
  assert.match(run.stdout, /original +int8 +fgq N=64, fine-tuned/);
  const report: Report = JSON.parse(readFileSync(join(out, 'model.fgq-n64.report.json'), 'utf8'));
  assert.deepEqual(Value.Errors(Report, report), []);
  const { fineTune, provenance } = report;
  assert.deepEqual(
    fineTune!.curve.map(({ epoch }) => epoch),
    [0, 1, 2],
  );
  assert.equal(fineTune!.samples + fineTune!.heldOutSamples, 48);
  const best = Math.min(...fineTune!.curve.map(({ heldOutLoss }) => heldOutLoss));
  assert.equal(fineTune!.curve[fineTune!.bestEpoch]!.heldOutLoss, best);
  const { epochs, batch, augment } = (provenance.recipe as Recipe).fineTune!;
  assert.deepEqual([epochs, batch, augment], [2, 14, { crop: 1, shift: 1, mirror: true, mix: false }]);
  assert.deepEqual(
    provenance.datasets.map(({ role, samples }) => [role, samples]),
    [
      ['calibration', 16],
      ['training', 48],
    ],
  );
  const line = new RegExp(
    `^fine-tuning: .*held-out loss .*; ${fineTune!.samples} samples, ${fineTune!.heldOutSamples} held out, \\d+ s$`,
    'm',
  );
  assert.match(run.stdout, line);
});

test('fine-tunes on the calibration data alone, and says when the start was best', async () => {
  const run = await tritforge(
    ...['quantize', MODEL, '--out', newPath(), ...CALIBRATION],
    // So large a step that nothing gets better.
    ...['--fine-tune-epochs', '1', '--fine-tune-learning-rate', '10', '--fine-tune-batch', '112'],
  );
  assert.equal(run.exitCode, 0, run.stderr);
  assert.match(run.stdout, /^fine-tuning: no epoch of 1 was better than the start, whose held-out loss is 0\.\d+; /m);
});

/** Made-up images of the size that the example takes. */
function images(count: number) {
  const shape = [count, 3, 24, 24];
  const data = Uint8Array.from({ length: count * 3 * 24 * 24 }, (_, i) => (i * 37 + (i >> 6) * 11) % 256);
  return { dtype: 'uint8' as const, shape, data };
}
