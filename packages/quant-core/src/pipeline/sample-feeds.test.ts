import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { stringValue, tensorFromInt64 } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { sampleFeeds } from './sample-feeds.js';

const noData = { calibration: null, evaluation: null, training: null, close: async () => {} };

/** Mirrors `border` elements at the end of a sequence, which must be longer than that. */
async function mirrorModel(folder: string, border: bigint): Promise<string> {
  const path = join(folder, 'mirror.onnx');
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 'T']]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Pad', inputs: ['x', 'pads'], outputs: ['y'], attributes: { mode: stringValue('reflect') } }],
    constants: { pads: tensorFromInt64([4], [0n, 0n, 0n, border]) },
  });
  await writeModel(model, path);
  return path;
}

test('made-up sequences are as long as the model needs', async (t) => {
  const path = await mirrorModel(temporaryFolder(t), 100n);
  const feeds = await sampleFeeds(noData, createOnnxRuntime(), path, 2, 0);
  assert.deepEqual(
    feeds.map((fed) => fed.get('x')?.shape),
    [
      [1, 256],
      [1, 256],
    ],
  );
});

test('a model that runs on no made-up input asks for real ones', async (t) => {
  const path = await mirrorModel(temporaryFolder(t), 5000n);
  await assert.rejects(sampleFeeds(noData, createOnnxRuntime(), path, 1, 0), (error) => {
    assert.ok(error instanceof TritforgeError);
    assert.deepEqual([error.code, error.context.opType], ['MODEL_RUN_FAILED', 'Pad']);
    assert.match(error.message, /does not run on made-up inputs/);
    assert.match(error.context.remediation ?? '', /calibration or an evaluation dataset/);
    return true;
  });
});
