import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AffineLayout, grownAffines } from './affines.js';

const BEFORE = new AffineLayout([
  { layer: 'a', width: 0, channels: [2, 3] },
  { layer: 'b', width: 1, channels: [2] },
]);
const AFTER = new AffineLayout([
  { layer: 'a', width: 0, channels: [2, 3, 5] },
  { layer: 'b', width: 1, channels: [4] },
]);

test('every candidate of a layer has γ and β of its own', () => {
  const vector = Float32Array.from({ length: BEFORE.length }, (_, i) => i);
  assert.equal(BEFORE.length, 2 * (2 + 3 + 2));
  const [first, second] = BEFORE.of(vector, 0);
  assert.deepEqual(
    [[...first!.gain], [...first!.shift]],
    [
      [0, 1],
      [2, 3],
    ],
  );
  assert.deepEqual(
    [[...second!.gain], [...second!.shift]],
    [
      [4, 5, 6],
      [7, 8, 9],
    ],
  );
  second!.gain[1] = 50;
  assert.equal(vector[5], 50);
});

test('a candidate that joins begins as the largest before it', () => {
  const vector = Float32Array.from({ length: BEFORE.length }, (_, i) => i);
  const grown = grownAffines(vector, BEFORE, AFTER);
  const [first, second, third] = AFTER.of(grown, 0);
  assert.deepEqual(
    [[...first!.gain], [...second!.shift]],
    [
      [0, 1],
      [7, 8, 9],
    ],
  );
  assert.deepEqual(
    [[...third!.gain], [...third!.shift]],
    [
      [4, 5, 6, 5, 5],
      [7, 8, 9, 8, 8],
    ],
  );
  const [lone] = AFTER.of(grown, 1);
  assert.deepEqual(
    [[...lone!.gain], [...lone!.shift]],
    [
      [10, 11, 10.5, 10.5],
      [12, 13, 12.5, 12.5],
    ],
  );
});

test('an optimiser remembers nothing of candidates that join', () => {
  const grown = grownAffines(new Float32Array(BEFORE.length).fill(7), BEFORE, AFTER, true);
  const [first, , third] = AFTER.of(grown, 0);
  assert.deepEqual(
    [[...first!.gain], [...third!.gain]],
    [
      [7, 7],
      [0, 0, 0, 0, 0],
    ],
  );
});
