import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussianWeights } from './random-weights.js';
import { dequantize } from './reconstruct.js';
import { ternarize } from './ternarize.js';
import { ternarizeScaled } from './ternarize-scaled.js';

const LAYOUT = { outputChannels: 2, inputChannels: 5, taps: 2 };
const GROUPS = 2 * 3 * 2;

test('codes come from ratios alone, and group codes from the scales', () => {
  // Groups of two input channels, the last of one; ratios alternate between a code and none.
  const ratios = Float32Array.from({ length: 20 }, (_, i) => [0.6, -1.4, 0.5, -0.2][i % 4]!);
  const scales = Float32Array.from({ length: GROUPS }, (_, i) => 64 - i);
  const ternary = ternarizeScaled(ratios, scales, LAYOUT, 2);
  assert.deepEqual(
    ternary.codes,
    Int8Array.from(ratios, (ratio) => (Math.abs(ratio) > 0.5 ? Math.sign(ratio) : 0)),
  );
  const decoded = dequantize(ternary);
  decoded.forEach((weight, i) => {
    const [oc, ic, tap] = [Math.floor(i / 10), Math.floor(i / 2) % 5, i % 2];
    const scale = scales[(oc * 3 + Math.floor(ic / 2)) * 2 + tap]!;
    assert.ok(Math.abs(Math.abs(weight) - (ternary.codes[i] === 0 ? 0 : scale)) < 0.6, `${i}: ${weight} for ${scale}`);
  });
});

test('scales and codes of a ternary tensor give it again', () => {
  const solved = ternarize(gaussianWeights(20, 1), LAYOUT, 2);
  const decoded = dequantize(solved);
  const scales = Float32Array.from(solved.groupCodes, (code, i) => code * solved.channelScales[Math.floor(i / 6)]!);
  const again = dequantize(ternarizeScaled(Float32Array.from(solved.codes), scales, LAYOUT, 2));
  for (const [i, weight] of again.entries()) assert.ok(Math.abs(weight - decoded[i]!) <= 0.02 * Math.abs(decoded[i]!));
});

test('a group without codes, or with a scale of nothing beside the others, is zero', () => {
  const ratios = new Float32Array(20).fill(1);
  ratios.fill(0.1, 0, 4);
  const scales = new Float32Array(GROUPS).fill(1);
  scales[11] = 1e-6;
  const { codes, groupCodes } = ternarizeScaled(ratios, scales, LAYOUT, 2);
  assert.deepEqual([groupCodes[0], groupCodes[1], groupCodes[11]], [0, 0, 0]);
  assert.deepEqual([...codes.subarray(0, 4), codes[19]], [0, 0, 0, 0, 0]);
  assert.equal(codes[18], 1);
});

test('channel scales leave room for the bias', () => {
  const minimumScales = Float32Array.of(0, 0.5);
  const scales = new Float32Array(GROUPS).fill(1);
  const { channelScales, groupCodes } = ternarizeScaled(new Float32Array(20).fill(1), scales, LAYOUT, 2, {
    minimumScales,
  });
  assert.ok(channelScales[0]! < 0.02);
  assert.equal(channelScales[1], 0.5);
  assert.deepEqual([...groupCodes.subarray(6)], [2, 2, 2, 2, 2, 2]);
});

test('arguments that do not fit are refused', () => {
  const ratios = new Float32Array(20);
  assert.throws(() => ternarizeScaled(ratios, new Float32Array(11), LAYOUT, 2), /12 groups need as many scales/);
  const scales = new Float32Array(GROUPS).fill(1);
  assert.throws(() => ternarizeScaled(ratios, scales.with(3, Number.NaN), LAYOUT, 2), /scale of group 3 is NaN/);
  assert.throws(() => ternarizeScaled(ratios.with(7, Number.NaN), scales, LAYOUT, 2), {
    code: 'MODEL_NONFINITE_WEIGHTS',
  });
});
