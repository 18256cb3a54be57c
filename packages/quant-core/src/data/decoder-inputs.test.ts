import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DatasetSummary } from '@tritforge/contracts';
import { syntheticFeeds } from '../evaluate/index.js';
import type { DataType } from '../ir/index.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { floats, int64s } from '../testing/memory-dataset.js';
import { type ModelInput, planFeeds } from './feed-plan.js';
import { feedsOf } from './feeds.js';
import { assertFails } from './testing/errors.js';

type Shape = ModelInput['shape'];
const input = (name: string, shape: Shape, dtype: DataType = 'int64') => ({ name, dtype, shape: shape ?? [] });
const CACHE: Shape = ['batch', 2, 'past', 8];
const INPUTS = [
  input('input_ids', ['batch', 'tokens']),
  input('attention_mask', ['batch', 'past + tokens']),
  input('position_ids', ['batch', 'tokens']),
  input('token_type_ids', ['batch', 'tokens'], 'int32'),
  input('past_key_values.0.key', CACHE, 'float32'),
  input('past_key_values.0.value', CACHE, 'float16'),
  input('past_1', [2, 'batch', 2, 'past', 8], 'float32'),
  input('use_cache_branch', [1], 'bool'),
];

const summary = (arrays: Readonly<Record<string, HostTensor>>): DatasetSummary => ({
  format: 'npz',
  samples: 2,
  labels: null,
  arrays: Object.entries(arrays).map(([name, { dtype, shape }]) => ({ name, dtype, shape: [...shape] })),
});

function feeds(arrays: Readonly<Record<string, HostTensor>>, inputs: readonly ModelInput[] = INPUTS): Feeds {
  const plan = planFeeds(inputs, summary(arrays), null);
  const [run] = feedsOf(plan, { inputs: new Map(Object.entries(arrays)), labels: null, count: 2 });
  return run!.feeds;
}

const numbers = (tensor: HostTensor | undefined) => Array.from(tensor!.data as ArrayLike<number | bigint>, Number);
const tokens = int64s([2, 3], [4, 5, 6, 7, 8, 9]);

test('what follows from tokens needs no arrays', () => {
  const fed = feeds({ input_ids: tokens });
  assert.deepEqual(
    [...fed].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`),
    [
      'input_ids int64 2,3',
      'attention_mask int64 2,3',
      'position_ids int64 2,3',
      'token_type_ids int32 2,3',
      'past_key_values.0.key float32 2,2,0,8',
      'past_key_values.0.value float16 2,2,0,8',
      'past_1 float32 2,2,2,0,8',
      'use_cache_branch bool 1',
    ],
  );
  assert.deepEqual(numbers(fed.get('attention_mask')), [1, 1, 1, 1, 1, 1]);
  assert.deepEqual(numbers(fed.get('position_ids')), [0, 1, 2, 0, 1, 2]);
  assert.deepEqual(numbers(fed.get('token_type_ids')), [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(numbers(fed.get('use_cache_branch')), [0]);
});

test('arrays have the last word, and what follows from them goes by them', () => {
  const masked = feeds({ input_ids: tokens, attention_mask: int64s([2, 3], [0, 1, 1, 1, 1, 0]) });
  assert.deepEqual(numbers(masked.get('attention_mask')), [0, 1, 1, 1, 1, 0]);
  assert.deepEqual(numbers(masked.get('position_ids')), [0, 0, 1, 0, 1, 0]);
  const inputs = INPUTS.slice(0, 5);
  const cached = feeds(
    { input_ids: tokens, 'past_key_values.0.key': floats([2, 2, 4, 8], new Float32Array(128)) },
    inputs,
  );
  assert.deepEqual(cached.get('attention_mask')!.shape, [2, 7]);
  assert.deepEqual(numbers(cached.get('position_ids')), [4, 5, 6, 4, 5, 6]);
});

test('an input that nothing is known about is named, with the array that it needs', async () => {
  const unknown = [...INPUTS, input('decoder_input_ids', ['batch', 'words'])];
  await assertFails(() => feeds({ input_ids: tokens }, unknown), 'DATASET_NAME_MISMATCH', /'decoder_input_ids'/);
  assert.throws(
    () => feeds({ input_ids: tokens }, unknown),
    (error: { context: { field?: string; remediation?: string } }) => {
      assert.equal(error.context.field, 'decoder_input_ids');
      assert.match(error.context.remediation!, /an array 'decoder_input_ids' of int64, .*\[batch, words\]/);
      return true;
    },
  );
});

test('a cache whose shape leaves heads open, or fixes its length, is named', async () => {
  for (const shape of [
    ['batch', 'heads', 'past', 8],
    ['batch', 2, 16, 8],
  ]) {
    const inputs = [INPUTS[0]!, input('past_key_values.0.key', shape, 'float32')];
    await assertFails(
      () => feeds({ input_ids: tokens }, inputs),
      'DATASET_NAME_MISMATCH',
      /no array 'past_key_values.0.key', and no empty cache can be made: its shape is \[batch/,
    );
  }
});

test('made-up inputs of a decoder fit each other', () => {
  const made = syntheticFeeds(INPUTS, 1);
  assert.deepEqual(
    [...made].map(([name, { shape }]) => `${name} ${shape}`),
    [
      'input_ids 1,32',
      'attention_mask 1,32',
      'position_ids 1,32',
      'token_type_ids 1,32',
      'past_key_values.0.key 1,2,0,8',
      'past_key_values.0.value 1,2,0,8',
      'past_1 2,1,2,0,8',
      'use_cache_branch 1',
    ],
  );
});
