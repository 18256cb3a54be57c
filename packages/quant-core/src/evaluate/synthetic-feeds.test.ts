import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syntheticFeeds } from './synthetic-feeds.js';

test('open dimensions get one sample, image sizes and a sequence length; equal names agree', () => {
  const feeds = syntheticFeeds(
    [
      { name: 'image', dtype: 'float32', shape: ['N', null, 'H', 'W'] },
      { name: 'lastChannels', dtype: 'uint8', shape: [null, null, null, 3] },
      { name: 'ids', dtype: 'int64', shape: ['N', 'T'] },
      { name: 'mask', dtype: 'bool', shape: ['T', 'T'] },
      { name: 'state', dtype: 'float16', shape: [2, 'N', 8] },
      { name: 'rate', dtype: 'int64', shape: [] },
    ],
    0,
  );
  const shapes = [...feeds].map(([name, { shape }]) => `${name} ${shape.join('x')}`);
  assert.deepEqual(shapes, [
    'image 1x3x224x224',
    'lastChannels 1x224x224x3',
    'ids 1x32',
    'mask 32x32',
    'state 2x1x8',
    'rate ',
  ]);
  assert.deepEqual(feeds.get('rate')!.data, BigInt64Array.of(1n));
});

test('floats lie in [-1, 1), integers are token ids of any vocabulary', () => {
  const feeds = syntheticFeeds(
    [
      { name: 'x', dtype: 'float32', shape: [1000] },
      { name: 'ids', dtype: 'int64', shape: [1000] },
    ],
    1,
  );
  const values = [...(feeds.get('x')!.data as Float32Array)];
  assert.ok(
    Math.min(...values) < -0.9 && Math.min(...values) >= -1 && Math.max(...values) > 0.9 && Math.max(...values) < 1,
  );
  const ids = new Set(feeds.get('ids')!.data as BigInt64Array);
  assert.deepEqual(
    [...ids].sort((a, b) => Number(a - b)),
    Array.from({ length: 16 }, (_, i) => BigInt(i)),
  );
});

test('the seed alone decides', () => {
  const inputs = [{ name: 'x', dtype: 'float32', shape: [64] }] as const;
  assert.deepEqual(syntheticFeeds(inputs, 5), syntheticFeeds(inputs, 5));
  assert.notDeepEqual(syntheticFeeds(inputs, 5), syntheticFeeds(inputs, 6));
});

test('types without numbers in JavaScript are refused by name', () => {
  assert.throws(() => syntheticFeeds([{ name: 'pair', dtype: 'undefined', shape: [] }], 0), /"pair"/);
});
