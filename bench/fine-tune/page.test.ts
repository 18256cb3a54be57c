import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Measurement } from '../accuracy/rows.js';
import { sampleAccuracy, sampleRow } from '../accuracy/sample-row.js';
import { type FineTuneRow, fineTunePage } from './page.js';

const SECOND = { dataset: 'second.npz', pairedStandardError: null };

const measured = (drop: number): Measurement =>
  sampleRow({ accuracies: [sampleAccuracy({ drop }), sampleAccuracy({ ...SECOND, drop: 2 * drop })] });

const row = (drop: number): FineTuneRow => ({
  model: 'net',
  name: 'N=64',
  recipe: {},
  before: measured(3),
  after: {
    ...measured(drop),
    fineTune: {
      samples: 70,
      heldOutSamples: 10,
      workers: 2,
      batch: 8,
      seconds: 61.4,
      bestEpoch: 1,
      curve: [0.5, 0.25, 0.3].map((heldOutLoss, epoch) => ({
        epoch,
        seconds: 20 * epoch,
        trainingLoss: 1,
        heldOutLoss,
      })),
    },
  },
  cpu: 'a processor',
  commit: 'abc1234',
});

test('the page has the newest row of a case, before and after on every set, and what the training did', () => {
  const page = fineTunePage([row(9), row(1)]);
  const lines = page.split('\n').filter((line) => line.startsWith('| '));
  assert.equal(lines.length, 2 + 2);
  assert.equal(
    lines[2],
    '| net, N=64 | first.npz top1 | 91.50 | 3.00 ± 0.50 | 1.00 ± 0.50 | 80 | 2 | 1 | 0.500 → 0.250 | 61 | abc1234 |',
  );
  assert.equal(lines[3], '|  | second.npz top1 | 91.50 | 6.00 | 2.00 |  |  |  |  |  |  |');
});
