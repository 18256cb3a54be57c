import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { writeNpz } from './data/index.js';
import { intsValue, type Model, readFloats, scalarFloat, tensorFromFloats } from './ir/index.js';
import { writeModel } from './onnx/index.js';
import { quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { seededRandom } from './testing/random.js';
import { randomTensor } from './testing/random-tensor.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { tinyModel } from './testing/tiny-model.js';

const CHANNELS = 8;
/** How much larger channels between the layers are than the one before. */
const STEP = 3;

/** Two convolutions; the second makes up for how unequal the channels between them are. */
async function unequalNetwork(): Promise<Model> {
  const factor = (channel: number) => STEP ** (channel - CHANNELS + 1);
  const [before, after] = [randomTensor([CHANNELS, 3, 3, 3], 1, 0.2), randomTensor([4, CHANNELS, 3, 3], 2, 0.2)];
  const small = (await readFloats(before)).map((w, i) => w * factor(Math.floor(i / 27)));
  const large = (await readFloats(after)).map((w, i) => w / factor(Math.floor(i / 9) % CHANNELS));
  const attributes = { pads: intsValue([1, 1, 1, 1]) };
  return tinyModel({
    inputs: [['image', 'float32', ['n', 3, 8, 8]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', name: 'first', inputs: ['image', 'w0'], outputs: ['a'], attributes },
      { op: 'Clip', inputs: ['a', 'zero', 'six'], outputs: ['b'] },
      { op: 'Conv', name: 'second', inputs: ['b', 'w1'], outputs: ['y'], attributes },
    ],
    constants: {
      w0: tensorFromFloats(before.shape, small),
      w1: tensorFromFloats(after.shape, large),
      zero: scalarFloat(0),
      six: scalarFloat(6),
    },
  });
}

/** Signal to noise of the last layer's output, in dB. */
async function lastSqnrDb(t: TestContext, recipe: Recipe): Promise<number> {
  const folder = temporaryFolder(t);
  const [modelPath, calibration] = [join(folder, 'model.onnx'), join(folder, 'images.npz')];
  await writeModel(await unequalNetwork(), modelPath);
  const random = seededRandom(3);
  const data = Float32Array.from({ length: 16 * 192 }, () => 2 * random() - 1);
  await writeNpz(calibration, new Map([['image', { dtype: 'float32', shape: [16, 3, 8, 8], data }]]));
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  for (const each of [outputDir, scratchDir]) await mkdir(each);
  const request = { modelPath, recipe, outputDir, scratchDir, fileStem: 'm', calibration: { path: calibration } };
  const report = await quantize(request, { runtime: createOnnxRuntime() });
  assert.ok(report.artifacts.every(({ verification }) => verification.passed));
  return report.layers.at(-1)!.outputSqnrDb!;
}

test('channels that are small between two layers are not lost when they are equalized', async (t) => {
  const recipe: Recipe = { method: 'int8', weights: { solver: 'exact' } };
  const plain = await lastSqnrDb(t, recipe);
  const equalized = await lastSqnrDb(t, { ...recipe, equalize: true });
  assert.ok(plain < 15 && equalized > plain + 15, `${plain} and ${equalized} dB`);
});
