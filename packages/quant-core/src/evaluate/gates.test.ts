import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGates } from './gates.js';

const MEASURED = { accuracyDrop: 1, sizeBytes: 1000, speedup: 2 };

test('a gate passes up to its limit, the limit included', () => {
  assert.deepEqual(checkGates({ maxAccuracyDrop: 1, maxSizeBytes: 1000, minSpeedup: 2 }, MEASURED), [
    { name: 'maxAccuracyDrop', limit: 1, value: 1, passed: true },
    { name: 'maxSizeBytes', limit: 1000, value: 1000, passed: true },
    { name: 'minSpeedup', limit: 2, value: 2, passed: true },
  ]);
  const tighter = checkGates({ maxAccuracyDrop: 0.9, maxSizeBytes: 999, minSpeedup: 2.1 }, MEASURED);
  assert.deepEqual(
    tighter.map(({ passed }) => passed),
    [false, false, false],
  );
});

test('only gates that were asked for are reported', () => {
  assert.deepEqual(checkGates({ onFailure: 'fail' }, MEASURED), []);
  assert.deepEqual(checkGates({ maxAccuracyDrop: 0 }, { ...MEASURED, accuracyDrop: -0.5 }), [
    { name: 'maxAccuracyDrop', limit: 0, value: -0.5, passed: true },
  ]);
});

test('a gate whose value was not measured does not pass', () => {
  const reports = checkGates(
    { maxAccuracyDrop: 1, minSpeedup: 1 },
    { accuracyDrop: null, sizeBytes: 1, speedup: Number.NaN },
  );
  assert.deepEqual(reports, [
    { name: 'maxAccuracyDrop', limit: 1, value: null, passed: false },
    { name: 'minSpeedup', limit: 1, value: null, passed: false },
  ]);
});
