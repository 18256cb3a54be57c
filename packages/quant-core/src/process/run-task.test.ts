import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  checkDatasetInChild,
  evaluateInChild,
  inspectDatasetInChild,
  inspectModelInChild,
  quantizeInChild,
  type TaskProgress,
} from './index.js';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/shapes/', import.meta.url));
const MODEL = join(EXAMPLE, 'model.onnx');
const preprocess = { scale: 1 / 255, mean: 0.5, std: 0.25 };
const CALIBRATION = { path: join(EXAMPLE, 'calibration.npz'), preprocess };
const folder = mkdtempSync(join(tmpdir(), 'run-task-'));
const scratchRoot = join(folder, 'scratch');
const options = { limits: { memoryBytes: 2 ** 30, wallClockMs: 20_000 }, scratchRoot };

describe('the engine in a child process', () => {
  after(() => {
    assert.deepEqual(readdirSync(scratchRoot), [], 'scratch folders are left over');
    rmSync(folder, { recursive: true });
  });

  test('inspects a model', async () => {
    const { inputs, quantizableLayers, layers } = await inspectModelInChild(MODEL, options);
    assert.deepEqual(inputs, [{ name: 'image', dtype: 'float32', shape: ['N', 3, 24, 24] }]);
    assert.equal(quantizableLayers, 10);
    assert.equal(layers.length, 10);
  });

  test('reports a file that is no model with its code', async () => {
    const path = join(folder, 'page.onnx');
    await writeFile(path, '<!doctype html>'.repeat(50));
    await assert.rejects(inspectModelInChild(path, options), { code: 'MODEL_NOT_ONNX' });
  });

  test('inspects a dataset and checks that it fits a model', async () => {
    const summary = await inspectDatasetInChild(CALIBRATION, options);
    assert.equal(summary.samples, 256);
    const image = { name: 'image', dtype: 'float32', shape: ['N', 3, 24, 24] };
    await checkDatasetInChild(CALIBRATION, [image], options);
    const larger = { ...image, shape: ['N', 3, 32, 32] };
    await assert.rejects(checkDatasetInChild(CALIBRATION, [larger], options), { code: 'DATASET_SHAPE_MISMATCH' });
  });

  test('scores a model and says how far it is', async () => {
    const reports: TaskProgress[] = [];
    const evaluation = { path: join(EXAMPLE, 'evaluation.zip'), preprocess };
    const result = await evaluateInChild(
      { modelPath: MODEL, evaluation },
      { ...options, onProgress: (progress) => reports.push(progress) },
    );
    assert.equal(result.metric, 'top1');
    assert.equal(result.value.toFixed(1), '92.7');
    assert.deepEqual([reports.at(-1)?.done, reports.at(-1)?.total], [1024, 1024]);
  });

  test('stops in the middle of quantization and leaves nothing', async () => {
    const abort = new AbortController();
    const outputDir = mkdtempSync(join(folder, 'output-'));
    const request = { modelPath: MODEL, recipe: {}, outputDir, fileStem: 'model', calibration: CALIBRATION };
    const onProgress = ({ phase }: TaskProgress) => phase === 'calibrate' && abort.abort();
    await assert.rejects(quantizeInChild(request, { ...options, signal: abort.signal, onProgress }), {
      code: 'CANCELED',
    });
    assert.deepEqual(readdirSync(outputDir), []);
  });
});
