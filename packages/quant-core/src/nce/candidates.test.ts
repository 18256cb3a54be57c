import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expanded, expectedChannels, likeliest, startCandidates } from './candidates.js';
import type { Width } from './widths/width-table.js';

const EXPANSION = { threshold: 0.3, step: 0.1, cap: 2 };

function width(channels: number, multipleOf = 1): Width {
  return { id: 0, channels, layers: ['conv'], ties: [], pins: [], multipleOf };
}

test('candidates start between three tenths and all of the channels, in multiples that suit their number', () => {
  const start = (channels: number, multipleOf?: number) =>
    startCandidates(width(channels, multipleOf), () => 0).channels;
  assert.deepEqual(start(128), [40, 48, 64, 80, 88, 104, 112, 128]);
  assert.deepEqual(start(16), [4, 6, 8, 10, 12, 14, 16]);
  assert.deepEqual(start(10), [3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(start(60, 3), [18, 24, 30, 36, 42, 48, 54, 60]);
  assert.deepEqual(start(1), [1]);
});

test('a larger candidate joins while the largest is likely, as likely as that, and none beyond the cap', () => {
  const start = { channels: [8, 12, 16], logits: Float64Array.of(0, 0, 1) };
  const once = expanded(width(16), start, EXPANSION);
  assert.deepEqual(
    [once.channels, [...once.logits]],
    [
      [8, 12, 16, 18],
      [0, 0, 1, 1],
    ],
  );
  assert.equal(expanded(width(16), { ...start, logits: Float64Array.of(1, 0, 0) }, EXPANSION).channels.length, 3);
  const most = { channels: [16, 32], logits: Float64Array.of(0, 5) };
  assert.equal(expanded(width(16), most, EXPANSION), most);
  assert.deepEqual(expanded(width(16), most, { ...EXPANSION, cap: 2.1 }).channels, [16, 32, 34]);
});

test('what is chosen is the likeliest candidate, what is expected the mean', () => {
  const candidates = { channels: [2, 4, 8], logits: Float64Array.of(0, Math.log(2), 0) };
  assert.equal(likeliest(candidates), 4);
  assert.ok(Math.abs(expectedChannels(candidates) - 4.5) < 1e-12);
});
