import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { planFeeds } from '../data/feed-plan.js';
import { scalarFloat } from '../ir/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { tinyModel } from '../testing/tiny-model.js';
import { EXACT_SQNR_DB, measureSqnr, type SqnrRequest } from './sqnr.js';

let scratchDir: string;
before(async () => {
  scratchDir = await mkdtemp(join(tmpdir(), 'tritforge-sqnr-'));
});
after(() => rm(scratchDir, { recursive: true }));

/** x → a = x·gain → b = a + 1 → c = b·0; the second model calls a `a2`. */
function chain(gain: number, a: string) {
  return tinyModel({
    inputs: [['x', 'float32', ['N', 3]]],
    outputs: [['c', 'float32', null]],
    nodes: [
      { op: 'Mul', inputs: ['x', 'gain'], outputs: [a] },
      { op: 'Add', inputs: [a, 'one'], outputs: ['b'] },
      { op: 'Mul', inputs: ['b', 'zero'], outputs: ['c'] },
      { op: 'Shape', inputs: ['b'], outputs: ['size'] },
    ],
    constants: { gain: scalarFloat(gain), one: scalarFloat(1), zero: scalarFloat(0) },
  });
}

const SAMPLES = [1, 2, 3, -4, 5, -6];
const dataset = memoryDataset({ x: floats([2, 3], SAMPLES) });

function measure(overrides: Partial<SqnrRequest> = {}) {
  const original = chain(1, 'a');
  return measureSqnr({
    original,
    quantized: chain(0.9, 'a2'),
    values: new Map([
      ['a', 'a2'],
      ['b', 'b'],
    ]),
    dataset,
    feedPlan: planFeeds(original.graph.inputs, dataset.summary, null),
    runtime: createOnnxRuntime(),
    scratchDir,
    ...overrides,
  });
}

test('the ratio of each value equals the formula over all samples', async () => {
  const sqnr = await measure();
  const sum = (term: (x: number) => number) => SAMPLES.reduce((total, x) => total + term(x), 0);
  assert.ok(Math.abs(sqnr.get('a')! - 20) < 1e-5, 'one tenth of the signal is noise');
  const expected = 10 * Math.log10(sum((x) => (x + 1) ** 2) / sum((x) => (0.1 * x) ** 2));
  assert.ok(Math.abs(sqnr.get('b')! - expected) < 1e-5);
});

test('a memory cap changes no number and leaves no file', async () => {
  assert.deepEqual(await measure({ memoryCapBytes: 1 }), await measure());
  assert.deepEqual(await readdir(scratchDir), []);
});

test('equal models are exact; values without signal, of other types or in neither graph are left out', async () => {
  const values = new Map(['a', 'c', 'size', 'x', 'nowhere'].map((name) => [name, name]));
  const sqnr = await measure({ quantized: chain(1, 'a'), values });
  assert.deepEqual([...sqnr], [['a', EXACT_SQNR_DB]]);
});

test('a value that the quantized model makes NaN gets the lowest ratio', async () => {
  assert.equal((await measure({ quantized: chain(Number.NaN, 'a2') })).get('a'), -EXACT_SQNR_DB);
});
