import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { intsValue, intValue } from '../ir/index.js';
import type { SampleValues } from '../prefix/sample-values.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { collectMoments, momentsByteLength } from './collect-moments.js';
import type { RecordedOutputs } from './recorded-outputs.js';
import { ALL, assertClose, assertLinear, type Case, collect, setUp, valuesOf, WIDE } from './testing.js';

test('windows are drawn by the seed, from every run, and never more than allowed', async (t) => {
  const given: Case = {
    node: { op: 'Conv', attributes: { pads: intsValue([1, 1, 1, 1]) } },
    weight: [2, 3, 3, 3],
    x: Array.from({ length: 8 }, () => [1, 3, 9, 9]),
  };
  const setup = await setUp(t, given);
  const reads = new Map<number, number>();
  const x: SampleValues = {
    ...valuesOf(setup.x),
    read: async (run) => {
      reads.set(run, (reads.get(run) ?? 0) + 1);
      return setup.x[run]!;
    },
  };
  const draw = (seed: number) =>
    collectMoments(setup.layer, x, valuesOf(setup.y), {
      runtime: createOnnxRuntime(),
      scratchDir: temporaryFolder(t),
      maxRows: 100,
      seed,
    });
  const [[first], [again], [other]] = [await draw(1), await draw(1), await draw(2)];
  assert.equal(first!.rows, 100);
  assert.deepEqual(first, again);
  assert.notDeepEqual(first!.mean, other!.mean);
  assert.deepEqual([...reads.values()], Array(8).fill(3));
  assertLinear(first!, setup.weights, setup.bias);
});

test('what is added to the outputs is taken off again, in every convolution group', async (t) => {
  const attributes = { group: intValue(2) };
  const setup = await setUp(t, {
    node: { op: 'Conv', attributes },
    weight: [6, 2, 3, 3],
    x: [
      [2, 4, 6, 5],
      [1, 4, 6, 5],
    ],
  });
  const next = gaussian(seededRandom(8));
  const addends = setup.y.map(({ shape, data }) =>
    floats(
      shape,
      Float32Array.from(data as Float32Array, () => next()),
    ),
  );
  const sums = setup.y.map(({ shape, data }, run) =>
    floats(
      shape,
      (data as Float32Array).map((value, i) => value + (addends[run]!.data as Float32Array)[i]!),
    ),
  );
  const alone = await collect(t, setup, { maxRows: 40, seed: 1 });
  const options = { runtime: createOnnxRuntime(), scratchDir: temporaryFolder(t), maxRows: 40, seed: 1 };
  const recorded: RecordedOutputs[] = [];
  const onOutputs = async (outputs: RecordedOutputs) => void recorded.push(outputs);
  const addend = valuesOf(addends);
  const taken = await collectMoments(setup.layer, valuesOf(setup.x), valuesOf(sums), { ...options, addend, onOutputs });
  const replayed = await collectMoments(setup.layer, valuesOf(setup.x), recorded[0]!, { ...options, addend });
  for (const [group, moments] of alone.entries()) {
    assertClose(taken[group]!, moments);
    assertClose(replayed[group]!, moments);
  }
});

test('runs without positions give moments of no rows', async (t) => {
  const setup = await setUp(t, { node: { op: 'MatMul' }, weight: [4, 2], x: [[0, 4]] });
  const [moments] = await collect(t, setup, ALL);
  assert.equal(moments!.rows, 0);
  assert.ok(moments!.second.every((value) => value === 0));
});

test('values that are not finite, or not of the layer, are refused, and no files stay', async (t) => {
  const setup = await setUp(t, { node: { op: 'Gemm', name: 'fc' }, weight: [5, 3], x: [[7, 5]] });
  const spoiled = { ...setup, y: [floats([7, 3], Array(21).fill(Number.POSITIVE_INFINITY))] };
  await assert.rejects(collect(t, spoiled, ALL), { code: 'MODEL_NONFINITE_ACTIVATIONS' });
  const foreign = { ...setup, x: [floats([7, 4], Array(28).fill(1))] };
  await assert.rejects(collect(t, foreign, ALL), /fc does not make an output of shape \[7,3\] from .* \[7,4\]/);
  const fewer = { ...setup, x: [floats([6, 5], Array(30).fill(1))] };
  await assert.rejects(collect(t, fewer, ALL), RangeError);
  const scratchDir = temporaryFolder(t);
  const signal = AbortSignal.abort();
  const options = { runtime: createOnnxRuntime(), scratchDir, ...ALL, signal };
  const canceled = collectMoments(setup.layer, valuesOf(setup.x), valuesOf(setup.y), options);
  await assert.rejects(canceled, { code: 'CANCELED' });
  assert.deepEqual(readdirSync(scratchDir), []);
});

test('the memory that moments take is known before', async (t) => {
  const { layer } = await setUp(t, WIDE);
  assert.ok(momentsByteLength(layer) > 8 * 520 * 560);
  assert.ok(momentsByteLength(layer) < 8 * 520 * 560 + 2 * 4 * 2048 * 560 + 1);
});
