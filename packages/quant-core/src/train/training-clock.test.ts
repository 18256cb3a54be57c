import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TrainingClock } from './training-clock.js';

test('epochs count steps, whatever time they take', () => {
  let now = 0;
  const clock = new TrainingClock({ epochs: 4 }, 0, () => now);
  assert.equal(clock.secondsLeft(1, 0), null);
  now = 10_000;
  assert.deepEqual([clock.share(1, 0), clock.share(2, 0.5), clock.share(5, 0)], [0, 0.375, 1]);
  assert.equal(clock.seconds, 10);
  assert.equal(clock.secondsLeft(2, 0), 30);
});

test('minutes go on where an earlier attempt stopped, and leave time for the judgement', () => {
  let now = 5000;
  const clock = new TrainingClock({ minutes: 2 }, 30, () => now);
  assert.equal(clock.share(1, 0), 0.25);
  clock.reserve(20);
  clock.reserve(5);
  assert.equal(clock.share(7, 0.9), 0.3);
  now = 75_000;
  assert.equal(clock.share(7, 0.9), 1);
  assert.equal(clock.secondsLeft(7, 0.9), 20);
});
