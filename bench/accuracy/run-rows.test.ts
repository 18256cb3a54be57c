import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RealModel } from '../shared-data/datasets.js';
import { appendRow, readRows } from './rows.js';
import { runRows, unfinished } from './run-rows.js';
import type { Variant } from './variants.js';

const EXAMPLE = fileURLToPath(new URL('../../../examples/shapes/', import.meta.url));
const VARIANT: Variant = { column: 'paper', groupSize: 64, recipe: { paper: true, weights: { groupSize: 64 } } };

test('a row is measured on all sets, stands until code or data change, and a failure leaves none', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'tritforge-run-rows-'));
  t.after(() => rm(folder, { recursive: true }));
  const rowsFile = path.join(folder, 'rows.jsonl');
  const calibration = path.join(folder, 'calibration.npz');
  await copyFile(path.join(EXAMPLE, 'calibration.npz'), calibration);
  const model: RealModel = {
    name: 'shapes',
    modelPath: path.join(EXAMPLE, 'model.onnx'),
    calibration,
    evaluation: path.join(EXAMPLE, 'evaluation.zip'),
    training: null,
    furtherEvaluations: [path.join(EXAMPLE, 'evaluation.zip')],
    preprocess: path.join(EXAMPLE, 'preprocess.json'),
    metric: 'top1',
  };
  const tasks = [{ model, variant: VARIANT }];
  const settings = { rowsFile, acceptOtherCode: false, log: () => {} };

  assert.deepEqual(await unfinished(tasks, settings), tasks);
  assert.deepEqual(await runRows(tasks, settings), []);
  const [row] = await readRows(rowsFile);
  const [first, second] = row!.accuracies;
  assert.deepEqual(second, first);
  assert.ok(first!.original! > 90 && first!.quantized < first!.original! && first!.samples > 100);
  assert.ok(Math.abs(first!.drop! - (first!.original! - first!.quantized)) < 1e-9);
  assert.ok(row!.bitsPerWeight.lowBitLayers! > 2 && row!.bitsPerWeight.lowBitLayers! < 3);
  assert.ok(row!.layers.ternary > 0 && row!.quantizeSeconds > 0 && row!.quantizeSeconds < row!.jobSeconds);
  assert.deepEqual(await unfinished(tasks, settings), []);

  await rm(rowsFile);
  await appendRow(rowsFile, { ...row, code: 'another' });
  assert.deepEqual(await unfinished(tasks, settings), tasks);
  assert.deepEqual(await unfinished(tasks, { ...settings, acceptOtherCode: true }), []);
  await copyFile(path.join(EXAMPLE, 'preprocess.json'), calibration);
  assert.deepEqual(await unfinished(tasks, { ...settings, acceptOtherCode: true }), tasks);

  const [failure] = await runRows(tasks, settings);
  assert.match(failure!, /^shapes: paper, N = 64: TritforgeError.*/);
  assert.equal((await readRows(rowsFile)).length, 1);
});
