import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formerPositions, growTensor } from './grow.js';

const SEGMENTS = [
  { width: 0, repeat: 1 },
  { width: 1, repeat: 2 },
];
const before = (id: number) => [2, 1][id]!;
const after = (id: number) => [3, 2][id]!;

test('channels keep their place within what each layer makes', () => {
  assert.deepEqual(formerPositions(SEGMENTS, before, after), [0, 1, -1, 2, 3, -1, -1]);
  assert.deepEqual(formerPositions(SEGMENTS, before, before), [0, 1, 2, 3]);
});

test('a tensor grows along the axes that follow widths', () => {
  const layout = [
    { segments: [{ width: 0, repeat: 1 }], isSummed: false },
    { segments: SEGMENTS, isSummed: true },
    null,
  ];
  const shapes = { before: [2, 4, 2], after: [3, 7, 2] };
  const from = Float32Array.from({ length: 16 }, (_, i) => i);
  const to = new Float32Array(42);
  let fresh = 0;
  growTensor({ from, to }, shapes, layout, { before, after }, () => -++fresh);
  assert.equal(fresh, 42 - 16);
  const row = (o: number, i: number) => [...to.subarray((o * 7 + i) * 2, (o * 7 + i + 1) * 2)];
  assert.deepEqual(
    [row(0, 0), row(0, 1), row(0, 3), row(0, 4)],
    [
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ],
  );
  assert.deepEqual(
    [row(1, 0), row(1, 4)],
    [
      [8, 9],
      [14, 15],
    ],
  );
  assert.ok(row(0, 2).every((value) => value < 0) && row(2, 0).every((value) => value < 0));
});

test('an axis that grows is no other one', () => {
  const layout = [{ segments: [{ width: 0, repeat: 1 }], isSummed: false }];
  const to = new Float32Array(3);
  growTensor({ from: Float32Array.of(5, 6), to }, { before: [2], after: [3] }, layout, { before, after }, () => 0);
  assert.deepEqual([...to], [5, 6, 0]);
});
