import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataType } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { castTensor } from './cast.js';
import type { Batch } from './dataset.js';
import type { FeedPlan } from './feed-plan.js';
import { feedsOf, trimPadding } from './feeds.js';
import { assertFails } from './testing/errors.js';

const bytes = (shape: readonly number[], data: readonly number[]): HostTensor => ({
  dtype: 'uint8',
  shape,
  data: Uint8Array.from(data),
});
const plan = (batched: boolean, runSamples: number | null, dtype: DataType = 'float32'): FeedPlan => ({
  inputs: [{ input: 'in', array: 'x', dtype, batched }],
  made: [],
  batched,
  runSamples,
});
const batch: Batch = { inputs: new Map([['x', bytes([3, 2], [1, 2, 3, 4, 5, 6])]]), labels: null, count: 3 };
const runs = (feedPlan: FeedPlan) =>
  feedsOf(feedPlan, batch).map(({ feeds, samples, padding }) => {
    const { dtype, shape, data } = feeds.get('in')!;
    return { dtype, shape, data: [...(data as Uint8Array)], samples, padding };
  });

test('without a fixed batch all samples are one run, cast to the dtype of the input', () => {
  const whole = { shape: [3, 2], data: [1, 2, 3, 4, 5, 6], samples: 3, padding: 0 };
  assert.deepEqual(runs(plan(true, null)), [{ dtype: 'float32', ...whole }]);
  assert.deepEqual(runs(plan(true, null, 'uint8')), [{ dtype: 'uint8', ...whole }]);
});

test('a fixed batch is filled by repeating the last sample, and what comes of it is cut', () => {
  const [first, last] = runs(plan(true, 2));
  assert.deepEqual(first, { dtype: 'float32', shape: [2, 2], data: [1, 2, 3, 4], samples: 2, padding: 0 });
  assert.deepEqual(last, { dtype: 'float32', shape: [2, 2], data: [5, 6, 5, 6], samples: 1, padding: 1 });
  const run = feedsOf(plan(true, 2), batch)[1]!;
  assert.deepEqual(trimPadding(bytes([2, 3], [1, 2, 3, 4, 5, 6]), run), bytes([1, 3], [1, 2, 3]));
  assert.deepEqual(
    trimPadding(bytes([4, 1], [1, 2, 3, 4]), run),
    bytes([2, 1], [1, 2]),
    'rows per sample stay together',
  );
  const odd = bytes([3, 1], [1, 2, 3]);
  assert.equal(trimPadding(odd, run), odd);
  assert.equal(trimPadding(odd, feedsOf(plan(true, 2), batch)[0]!), odd);
});

test('a batch smaller than the fixed one is padded as a whole', () => {
  const [only] = runs(plan(true, 4));
  assert.deepEqual([only!.data, only!.samples, only!.padding], [[1, 2, 3, 4, 5, 6, 5, 6], 3, 1]);
});

test('without a batch dimension every sample is a run of its own shape', () => {
  const all = runs(plan(false, 1));
  assert.deepEqual(
    all.map(({ shape, data }) => [shape, data]),
    [
      [[2], [1, 2]],
      [[2], [3, 4]],
      [[2], [5, 6]],
    ],
  );
});

test('casts are exact where the target can hold the value', () => {
  const cast = (tensor: HostTensor, to: DataType) => [...(castTensor(tensor, to, 'x').data as Float32Array)];
  const int64: HostTensor = { dtype: 'int64', shape: [2], data: BigInt64Array.from([-5n, 7n]) };
  assert.deepEqual(cast(int64, 'int32'), [-5, 7]);
  assert.deepEqual(cast(int64, 'float32'), [-5, 7]);
  assert.deepEqual(cast(bytes([2], [0, 255]), 'int64'), [0n, 255n]);
  assert.deepEqual(
    cast({ dtype: 'float32', shape: [2], data: Float32Array.from([1, -2]) }, 'float16'),
    [0x3c00, 0xc000],
  );
  assert.deepEqual(
    cast({ dtype: 'float16', shape: [2], data: Uint16Array.from([0x3c00, 0xc000]) }, 'float32'),
    [1, -2],
  );
  assert.deepEqual(cast({ dtype: 'bool', shape: [2], data: Uint8Array.from([0, 1]) }, 'float32'), [0, 1]);
});

test('an integer that the input cannot hold is refused with its value', async () => {
  const big: HostTensor = { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 31n) };
  await assertFails(
    () => castTensor(big, 'int32', 'x'),
    'DATASET_DTYPE_MISMATCH',
    /'x' has the value 2147483648.*int32/,
  );
  const negative: HostTensor = { dtype: 'int8', shape: [1], data: Int8Array.of(-1) };
  await assertFails(() => castTensor(negative, 'uint8', 'x'), 'DATASET_DTYPE_MISMATCH', /value -1/);
  const float: HostTensor = { dtype: 'float32', shape: [1], data: Float32Array.of(1) };
  await assertFails(() => castTensor(float, 'int64', 'x'), 'DATASET_DTYPE_MISMATCH', /float32 and cannot become int64/);
});
