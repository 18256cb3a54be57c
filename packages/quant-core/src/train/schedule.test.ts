import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rateAt } from './schedule.js';

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}, not ${expected}`);

test('a cosine falls from the peak to its floor, half way in the middle', () => {
  const cosine = { kind: 'cosine', floor: 0.2 } as const;
  for (const [share, rate] of [
    [0, 1],
    [0.5, 0.6],
    [1, 0.2],
    [1.5, 0.2],
  ] as const)
    near(rateAt(cosine, share), rate);
});

test('steps multiply, from their share on', () => {
  const step = { kind: 'step', at: [0.5, 0.75], factor: 0.1 } as const;
  near(rateAt(step, 0.49), 1);
  near(rateAt(step, 0.5), 0.1);
  near(rateAt(step, 0.9), 0.01);
});

test('the rate warms up in a straight line', () => {
  near(rateAt({ kind: 'constant' }, 0, 0.1), 0);
  near(rateAt({ kind: 'constant' }, 0.05, 0.1), 0.5);
  near(rateAt({ kind: 'constant' }, 0.3, 0.1), 1);
});
