import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleAccuracy, sampleRow } from '../accuracy/sample-row.js';
import { atBits, peersPage } from './page.js';
import type { PeerRow } from './rows.js';

const ours = (column: string, groupSize: 4 | 8 | 64 | null, quantizedLayers: number, drop = 1) =>
  sampleRow({
    column,
    groupSize,
    bitsPerWeight: { quantizedLayers, lowBitLayers: null, wholeModel: 5 },
    accuracies: [sampleAccuracy({ drop })],
  });

const peer = (bitsPerWeight: number, keptAsFloats = 0): PeerRow => ({
  model: 'network',
  setting: { tool: 'nbits', algorithm: 'gptq', bits: 4, block: 32 },
  calibrationSamples: 32,
  versions: { onnxruntime: '1.2.3' },
  result: {
    accuracies: [sampleAccuracy({ quantized: 80, drop: 11.5 })],
    sizeBytes: 2000,
    bitsPerWeight,
    wholeModelBits: 6,
    layers: keptAsFloats > 0 ? 0 : 5,
    ofLayers: 5,
    keptAsFloats,
    seconds: 3,
  },
  problem: null,
});

test('ours beside a peer has the most bits that are not more, however accurate the others are', () => {
  const rows = [ours('regressed (default)', 64, 2.5, 0), ours('regressed (default)', 4, 4.1, 9), ours('int8', null, 8)];
  assert.equal(atBits(rows, 5), rows[1]);
  assert.equal(atBits(rows, 4.09), rows[1]);
  assert.equal(atBits(rows, 3), rows[0]);
  assert.equal(atBits(rows, 2), undefined);
});

test('a peer stands beside ours of its bits, and columns that nobody gets by default are not ours', () => {
  const page = peersPage([peer(4.2)], [ours('second plane on ¼', 64, 4.2, 0), ours('regressed (default)', 4, 4.1, 2)]);
  assert.ok(
    page.includes(
      '| 80.00 | 11.50 ± 0.50 | 95.0 | 4.200 | 6.00 | 2000 | 5 of 5 | 3.0 | regressed (default), N = 4 | 4.100 | 1000 |',
    ),
  );
});

test('a page says what has not been measured, what is stored as floats and why there is no result', () => {
  const problem = 'not applicable: the tool quantizes MatMul only';
  const none = { ...peer(4), model: 'other', result: null, problem };
  const hqq = {
    ...none,
    setting: { tool: 'nbits' as const, algorithm: 'hqq' as const, bits: 2 as const, block: 64 as const },
  };
  const page = peersPage([peer(3.06, 5), none, hqq], []);
  assert.ok(page.includes('| 3.060 if packed; stored as floats | 6.00 | 2000 | 5 of 5 | 3.0 | not measured yet |'));
  assert.ok(
    page.includes(
      `- ${problem}: MatMulNBits, GPTQ as shipped, 4 bits, blocks of 32; MatMulNBits, HQQ, 2 bits, blocks of 64.`,
    ),
  );
});
