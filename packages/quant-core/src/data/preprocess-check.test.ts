import { test } from 'node:test';
import type { Preprocess } from '@tritforge/contracts';
import { checkPreprocess } from './preprocess-check.js';
import { assertFails } from './testing/errors.js';

test('contradictions are named by field', async () => {
  const cases: [unknown, RegExp][] = [
    [{ resize: {} }, /preprocess.resize needs either/],
    [{ resize: { width: 3 } }, /preprocess.resize needs either/],
    [{ resize: { shortSide: 3, width: 3, height: 3 } }, /preprocess.resize needs either/],
    [{ resize: { shortSide: 3, height: 3 } }, /preprocess.resize needs either/],
    [{ std: 0 }, /preprocess.std is 0/],
    [{ std: [1, 0, 1] }, /preprocess.std is 0/],
    [{ mean: [1, 2] }, /preprocess.mean has 2 numbers for 3 channels/],
    [{ channels: 'gray', std: [1, 2, 3] }, /preprocess.std has 3 numbers for 1 channels/],
    [{ resize: { shortSide: 0 } }, /preprocess.resize.shortSide/],
    [{ scales: 1 }, /preprocess.scales is not a known field/],
    [{ scale: Number.NaN }, /preprocess.scale/],
    [{ mean: [1, Number.POSITIVE_INFINITY, 1] }, /preprocess.mean/],
    [{ layout: 'chw' }, /preprocess.layout/],
    [[], /preprocess must be object/],
  ];
  for (const [preprocess, message] of cases) {
    await assertFails(() => checkPreprocess(preprocess as Preprocess, 'images'), 'PREPROCESS_INVALID', message);
  }
});

test('arrays can be neither resized, cropped nor reordered', async () => {
  const steps: Preprocess[] = [
    { resize: { shortSide: 4 } },
    { centerCrop: 4 },
    { channels: 'bgr' },
    { channels: 'gray' },
  ];
  for (const preprocess of steps) {
    await assertFails(() => checkPreprocess(preprocess, 'arrays'), 'PREPROCESS_INVALID', /cannot be applied to arrays/);
    checkPreprocess(preprocess, 'images');
  }
  checkPreprocess({ channels: 'rgb', scale: 2, mean: [1, 2], std: 3, layout: 'nhwc' }, 'arrays');
});
