import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trainingPage } from './page.js';
import type { Timing } from './rounds.js';
import { timeInTurns } from './rounds.js';

const timing = (name: string, milliseconds: number, processor = milliseconds): Timing => ({
  name,
  minimumMs: milliseconds,
  medianMs: 2 * milliseconds,
  medianCpuMs: processor,
});

test('ratios are those of the faster of ours to each', () => {
  const timings = [timing('standard', 30), timing('native', 20), timing('peer', 25)];
  const comparison = { network: 'net', batch: 4, batchStatistics: true, rounds: 3, timings };
  const page = trainingPage([comparison], 'training-speed', '2.0', ['standard', 'native']);
  assert.match(page, /^## net, batch 4, batch normalization training$/m);
  assert.match(page, /^\| standard \| 30\.0 \| 60\.0 \| 30\.0 \| 0\.67 \| 0\.67 \| 0\.67 \|$/m);
  assert.match(page, /^\| native \| 20\.0 \| 40\.0 \| 20\.0 \| 1\.00 \| 1\.00 \| 1\.00 \|$/m);
  assert.match(page, /^\| peer \| 25\.0 \| 50\.0 \| 25\.0 \| 0\.80 \| 0\.80 \| 0\.80 \|$/m);
});

test('all take turns, and steps before the first round do not count', async () => {
  const order: string[] = [];
  const stepper = (name: string, times: number[]) => ({
    async step() {
      order.push(name);
      const milliseconds = times.shift() ?? 5;
      return { milliseconds, cpuMilliseconds: milliseconds / 2, loss: 1 };
    },
    async close() {},
  });
  const sides = new Map([
    ['a', stepper('a', [1, 1, 1, 9, 7, 8])],
    ['b', stepper('b', [])],
  ]);
  const timings = await timeInTurns(sides, 3);
  assert.equal(order.join(''), 'abababababab');
  assert.deepEqual(timings, [
    { name: 'a', minimumMs: 7, medianMs: 8, medianCpuMs: 4 },
    { name: 'b', minimumMs: 5, medianMs: 5, medianCpuMs: 2.5 },
  ]);
});

test('a loss that is no number ends the measurement', async () => {
  const step = async () => ({ milliseconds: 1, cpuMilliseconds: 1, loss: Number.NaN });
  await assert.rejects(timeInTurns(new Map([['a', { step, close: async () => {} }]]), 1), /a: the loss is NaN/);
});
