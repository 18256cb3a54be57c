import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatasetSummary, Preprocess } from '@tritforge/contracts';
import { type ModelInput, planFeeds } from './feed-plan.js';
import { assertFails } from './testing/errors.js';

type Shape = ModelInput['shape'];
const input = (name: string, shape: Shape, dtype = 'float32'): ModelInput => ({ name, dtype, shape });
const arrays = (
  list: Record<string, readonly number[]>,
  dtype = 'float32',
  format: 'npz' | 'zip' = 'npz',
): DatasetSummary => ({
  format,
  samples: Object.values(list)[0]![0]!,
  labels: null,
  arrays: Object.entries(list).map(([name, shape]) => ({ name, dtype, shape: [...shape] })),
});
const plan = (inputs: readonly ModelInput[], summary: DatasetSummary, preprocess: Preprocess | null = null) =>
  planFeeds(inputs, summary, preprocess);
const fails = (
  inputs: readonly ModelInput[],
  summary: DatasetSummary,
  code: Parameters<typeof assertFails>[1],
  message: RegExp,
) => assertFails(() => plan(inputs, summary), code, message);

test('an array of the rank of its input is batched; the model may fix the batch', () => {
  const free = plan([input('x', ['N', 3, 8, 8])], arrays({ x: [10, 3, 8, 8] }));
  assert.deepEqual([free.batched, free.runSamples], [true, null]);
  const fixed = plan([input('x', [4, 3]), input('y', ['N', 2])], arrays({ x: [10, 3], y: [10, 2] }));
  assert.deepEqual([fixed.batched, fixed.runSamples], [true, 4]);
  assert.deepEqual(plan([input('x', null)], arrays({ x: [10, 3] })).batched, true, 'unknown shapes take a batch');
});

test('an array with one dimension more is fed sample by sample, and then all are', () => {
  const inputs = [input('input', ['batch', 'samples']), input('state', [2, 'batch', 128]), input('sr', [], 'int64')];
  const summary = arrays({ input: [9, 1, 576], state: [9, 2, 1, 128] });
  summary.arrays.push({ name: 'sr', dtype: 'int64', shape: [9] });
  const unbatched = plan(inputs, summary);
  assert.deepEqual([unbatched.batched, unbatched.runSamples], [false, 1]);
  assert.deepEqual(
    unbatched.inputs.map(({ batched }) => batched),
    [false, false, false],
  );
  const mixed = plan([input('x', ['N', 5]), input('s', [7])], arrays({ x: [9, 5], s: [9, 7] }));
  assert.deepEqual([mixed.batched, mixed.runSamples, mixed.inputs[0]!.batched], [false, 1, true]);
});

test('names must match, and the message lists both sides', async () => {
  const both = /inputs 'x', 'y'; the dataset has the arrays 'x', 'z'/;
  await fails(
    [input('x', ['N', 1]), input('y', ['N', 1])],
    arrays({ x: [2, 1], z: [2, 1] }),
    'DATASET_NAME_MISMATCH',
    both,
  );
  await fails([input('x', ['N', 1])], arrays({ x: [2, 1], z: [2, 1] }), 'DATASET_NAME_MISMATCH', /'x', 'z'/);
  await fails([input('x', ['N', 1])], arrays({ y: [2, 1] }), 'DATASET_NAME_MISMATCH', /'y'/);
});

test('images go to the only input, or to the one that preprocess names', async () => {
  const images = arrays({ images: [2, 3, 4, 4] }, 'uint8', 'zip');
  const [fed] = plan([input('whatever', ['N', 3, 4, 4])], images, {}).inputs;
  assert.deepEqual([fed!.input, fed!.array], ['whatever', 'images']);
  const two = [input('a', ['N', 3, 4, 4]), input('b', ['N', 1])];
  await assertFails(() => plan(two, images, {}), 'DATASET_NAME_MISMATCH', /inputs 'a', 'b'; the dataset has images/);
  const named = arrays({ a: [2, 3, 4, 4] }, 'uint8', 'zip');
  assert.equal(plan([two[0]!], named, { input: 'a' }).inputs[0]!.array, 'a');
  await assertFails(() => plan([two[1]!], named, { input: 'a' }), 'DATASET_NAME_MISMATCH', /inputs 'b'.*arrays 'a'/);
});

test('shapes must fit, and the message has both', async () => {
  const shapes = /array 'x' \[10, 3, 9, 8\] does not fit input 'x' \[N, 3, 8, \?\]: dimension 2 of the input is 8/;
  await fails([input('x', ['N', 3, 8, null])], arrays({ x: [10, 3, 9, 8] }), 'DATASET_SHAPE_MISMATCH', shapes);
  await fails([input('x', ['N', 3, 8, 8])], arrays({ x: [10, 3] }), 'DATASET_SHAPE_MISMATCH', /ranks differ/);
  await fails([input('x', ['N', 3])], arrays({ x: [10, 1, 1, 3] }), 'DATASET_SHAPE_MISMATCH', /ranks differ/);
  await fails(
    [input('x', [2, 3]), input('s', [7])],
    arrays({ x: [9, 3], s: [9, 7] }),
    'DATASET_SHAPE_MISMATCH',
    /dimension 0 .* is 2/,
  );
  await fails(
    [input('x', [2, 3]), input('y', [3, 3])],
    arrays({ x: [9, 3], y: [9, 3] }),
    'DATASET_SHAPE_MISMATCH',
    /batch of 3/,
  );
});

test('a symbolic dimension must have one size in all inputs', async () => {
  const inputs = [input('ids', ['N', 'T']), input('mask', ['N', 'T'])];
  assert.equal(plan(inputs, arrays({ ids: [5, 12], mask: [5, 12] })).runSamples, null);
  const message = /'T' is 12 in input 'ids' and 11 here/;
  await fails(inputs, arrays({ ids: [5, 12], mask: [5, 11] }), 'DATASET_SHAPE_MISMATCH', message);
});

test('bytes and integers go into floats, integers into integers, floats never into integers', async () => {
  const pairs: [string, string, boolean][] = [
    ['uint8', 'float32', true],
    ['int64', 'float32', true],
    ['float64', 'float32', true],
    ['float32', 'float16', true],
    ['bool', 'float32', true],
    ['int32', 'int64', true],
    ['int64', 'int32', true],
    ['uint8', 'uint8', true],
    ['bool', 'bool', true],
    ['float32', 'int64', false],
    ['uint8', 'bool', false],
    ['float32', 'string', false],
    ['float32', 'bfloat16', false],
  ];
  for (const [from, to, allowed] of pairs) {
    const work = () => plan([input('x', ['N', 2], to)], arrays({ x: [3, 2] }, from));
    if (allowed) assert.equal(work().inputs[0]!.dtype, to);
    else await assertFails(work, 'DATASET_DTYPE_MISMATCH', new RegExp(`'x' gives ${from} .*takes ${to}`));
  }
});

test('preprocessing that changes values makes floats, which integer inputs refuse', async () => {
  const [inputs, summary] = [[input('x', ['N', 2], 'uint8')], arrays({ x: [3, 2] }, 'uint8')] as const;
  assert.equal(plan(inputs, summary, {}).inputs[0]!.dtype, 'uint8');
  await assertFails(
    () => plan(inputs, summary, { scale: 2 }),
    'DATASET_DTYPE_MISMATCH',
    /gives float32 .* takes uint8/,
  );
});
