import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrontierPoint } from '@tritforge/contracts';
import { type AutoRow, autoPage } from './page.js';

const point = (label: string, sizeBytes: number, more: Partial<FrontierPoint>): FrontierPoint => ({
  label,
  sizeBytes,
  bitsPerWeight: 4,
  accuracy: 90,
  latencyMs: null,
  kept: false,
  drop: 1,
  meets: false,
  singlePrecision: false,
  fileName: null,
  ...more,
});

const row: AutoRow = {
  model: 'net',
  maxAccuracyDrop: 1,
  evaluations: 4,
  calibrationSamples: 8,
  accuracy: {
    metric: 'top1',
    samples: 10,
    original: 91,
    int8: 91,
    quantized: 90,
    drop: 1,
    pairedStandardError: 0.5,
    agreement: 99,
  },
  chosen: 'chosen.onnx',
  frontier: [
    point('int8', 200, { meets: true, singlePrecision: true }),
    point('mixed 1', 80, { meets: true, kept: true, fileName: 'chosen.onnx' }),
    point('N=64', 60, { singlePrecision: true, drop: 3 }),
    point('int4', 100, { meets: true, singlePrecision: true }),
  ],
  seconds: 12.3,
  cpu: 'a processor',
  commit: 'abc',
};

test('what was chosen stands beside the smallest network of one precision within the limit', () => {
  const older: AutoRow = { ...row, seconds: 99 };
  const lines = autoPage([older, row]).split('\n');
  assert.ok(lines.includes('| net | 1 | 80 (mixed 1) | 1.00 ± 0.50 | 100 (int4) | 0.800 | 4 | 12 | abc |'));
  assert.equal(lines.filter((line) => line.startsWith('| net ')).length, 1, 'only the newest row');
  const networks = lines.filter((line) => /^\| (int|mixed|N=)/.test(line));
  assert.deepEqual(
    networks.map((line) => line.split(' | ')[0]),
    ['| N=64', '| mixed 1', '| int4', '| int8'],
  );
  assert.match(networks[1]!, /within the limit, kept, chosen/);
});

test('a search that only one mixture was within the limit of says so', () => {
  const frontier = row.frontier.filter(({ label }) => label !== 'int8' && label !== 'int4');
  assert.match(autoPage([{ ...row, frontier }]), /\| none \| – \|/);
});
