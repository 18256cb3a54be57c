import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cropCentre, type ResizeKernel, resizePixels } from './resize.js';

/** 8 x 8, one channel, `20 x + 9 (x mod 2)`; the reference rows come from Pillow 13.0 on the same picture. */
const ramp = Uint8Array.from({ length: 64 }, (_, i) => (i % 8) * 20 + (i % 2) * 9);
const square = (side: number) => ({ width: side, height: side });

const ENLARGED: Record<ResizeKernel, readonly number[]> = {
  nearest: [0, 0, 29, 29, 40, 40, 69, 69, 80, 80, 109, 109, 120, 120, 149, 149],
  linear: [0, 7, 22, 32, 37, 47, 62, 72, 77, 87, 102, 112, 117, 127, 142, 149],
  cubic: [0, 5, 22, 33, 36, 46, 63, 73, 76, 86, 103, 113, 116, 127, 144, 152],
  lanczos3: [0, 5, 21, 34, 37, 46, 63, 72, 77, 86, 103, 112, 115, 128, 144, 152],
};

const SHRUNK: Record<ResizeKernel, readonly number[]> = {
  nearest: [29, 80, 120],
  linear: [26, 75, 123],
  cubic: [22, 74, 127],
  lanczos3: [20, 74, 129],
};

test('enlarging gives the bytes that Pillow gives, with every kernel', () => {
  for (const [kernel, row] of Object.entries(ENLARGED)) {
    const resized = resizePixels(ramp, square(8), square(16), kernel as ResizeKernel);
    assert.deepEqual([...resized.subarray(5 * 16, 6 * 16)], row, kernel);
  }
});

test('shrinking averages over the pixels that it leaves out, as Pillow does', () => {
  for (const [kernel, row] of Object.entries(SHRUNK)) {
    const resized = resizePixels(ramp, square(8), square(3), kernel as ResizeKernel);
    assert.deepEqual([...resized.subarray(0, 3)], row, kernel);
  }
});

test('channels stay apart and rows are resized like columns', () => {
  const two = Uint8Array.from({ length: 128 }, (_, i) => (i % 2 === 0 ? ramp[i >> 1]! : 7));
  const wide = resizePixels(two, square(8), { width: 16, height: 8 }, 'linear');
  assert.deepEqual(
    [...wide.subarray(0, 32)].filter((_, i) => i % 2 === 0),
    ENLARGED.linear,
  );
  assert.ok(wide.every((value, i) => i % 2 === 0 || value === 7));
  const turned = Uint8Array.from(ramp, (_, i) => ramp[(i % 8) * 8 + (i >> 3)]!);
  const tall = resizePixels(turned, square(8), { width: 8, height: 16 }, 'linear');
  assert.deepEqual(
    [...tall].filter((_, i) => i % 8 === 0),
    ENLARGED.linear,
  );
});

test('an unchanged size changes no byte', () => {
  assert.equal(resizePixels(ramp, square(8), square(8), 'cubic'), ramp);
});

test('a centre crop of odd difference starts at the smaller half', () => {
  const row = Uint8Array.from([1, 2, 3, 4, 5]);
  assert.deepEqual([...cropCentre(row, { width: 5, height: 1 }, { width: 2, height: 1 })], [2, 3]);
  assert.deepEqual([...cropCentre(row, { width: 1, height: 5 }, { width: 1, height: 2 })], [2, 3]);
});
