import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fastFrontier, LatencyModel } from './latency-model.js';
import { totalOf } from './tracing.js';

test('nothing is predicted before anything was measured, and differences from one network', () => {
  const model = new LatencyModel();
  assert.equal(model.predict(5), null);
  model.learn(5, 7);
  assert.equal(model.predict(8), 10);
});

test('three networks tell how much the time of layers counts', () => {
  const model = new LatencyModel();
  for (const layersMs of [1, 2, 4]) model.learn(layersMs, 3 + 1.5 * layersMs);
  assert.ok(Math.abs(model.predict(10)! - 18) < 1e-9);
});

test('chance does not turn slower layers into faster networks', () => {
  const model = new LatencyModel();
  for (const [layersMs, latencyMs] of [
    [1, 9],
    [2, 7],
    [3, 5],
  ] as const)
    model.learn(layersMs, latencyMs);
  assert.ok(model.predict(4)! > model.predict(3)!);
});

/** Small, fast and accurate: no option is all three. */
const UNITS = [1, 2, 5].map((size) => [
  { bytes: size, damage: 10 * size, ms: 3 * size },
  { bytes: 3 * size, damage: 12 * size, ms: size },
  { bytes: 4 * size, damage: size, ms: 2 * size },
]);

test('where latency alone counts the frontier goes from the fastest to the most accurate', () => {
  const path = fastFrontier(UNITS, { isSizeWanted: false });
  assert.deepEqual(path[0], [1, 1, 1]);
  assert.deepEqual(path.at(-1), [2, 2, 2]);
});

test('where size counts too there are small and fast networks on the way, ever more accurate', () => {
  const path = fastFrontier(UNITS, { isSizeWanted: true });
  for (const end of [
    [0, 0, 0],
    [1, 1, 1],
    [2, 2, 2],
  ])
    assert.ok(path.some((assignment) => assignment.join() === end.join()));
  const damages = path.map((assignment) => totalOf(UNITS, assignment).damage);
  assert.deepEqual(
    damages,
    damages.toSorted((a, b) => b - a),
  );
});
