import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ternarize } from '../fgq/index.js';
import { quantizeInt8 } from '../int8/index.js';
import type { InputMoments } from '../solve/index.js';
import { InputWatch, layerStatistics, rankCauses, shiftNoise, weightNoise } from './causes.js';

const LAYOUT = { outputChannels: 2, inputChannels: 8, taps: 1 };
const COLUMNS = 8;

/** Independent inputs of variance 1 around the mean, and outputs as they follow from the weights. */
function momentsOf(weights: Float32Array, mean = 0): InputMoments {
  const second = new Float64Array(COLUMNS * COLUMNS);
  for (let k = 0; k < COLUMNS; k++) second[k * COLUMNS + k] = 1;
  const outputVariance = Float64Array.from([0, 1], (oc) =>
    weights.subarray(oc * COLUMNS, (oc + 1) * COLUMNS).reduce((sum, w) => sum + w * w, 0),
  );
  return {
    columns: COLUMNS,
    rows: 100,
    mean: new Float64Array(COLUMNS).fill(mean),
    second,
    cross: new Float64Array(COLUMNS * 2),
    outputMean: new Float64Array(2),
    outputVariance,
  };
}

/** Four large weights, then four that are `small` times as large, in both channels. */
function weightsWith(small: number): Float32Array {
  return Float32Array.from({ length: 16 }, (_, i) => (i % 8 < 4 ? 1 : small) * (i % 2 === 0 ? 1 : -1));
}

test('groups that became zero are told by the share of the output that they made', () => {
  const noiseOf = (small: number) => {
    const weights = weightsWith(small);
    const codes = { kind: 'ternary', weights: ternarize(weights, LAYOUT, 4) } as const;
    return weightNoise(codes, layerStatistics(weights, LAYOUT, [momentsOf(weights)]));
  };
  const dead = noiseOf(0.004);
  assert.ok(Math.abs(dead.deadGroups! - 0.004 ** 2 / (1 + 0.004 ** 2)) < 1e-9);
  assert.equal(noiseOf(0.5).deadGroups, 0);
});

test('scales of groups that are small beside those of their channel are rounded coarsely', () => {
  const share = (small: number, codes: 'ternary' | 'int8') => {
    const weights = weightsWith(small);
    const statistics = layerStatistics(weights, LAYOUT, [momentsOf(weights)]);
    const quantized =
      codes === 'int8'
        ? ({ kind: 'int8', weights: quantizeInt8(weights, LAYOUT) } as const)
        : ({ kind: 'ternary', weights: ternarize(weights, LAYOUT, 4) } as const);
    return weightNoise(quantized, statistics).sharedScaleMismatch!;
  };
  // 8 codes of the scale s = 1/64 per channel, over the power of 4 weights of 1 and 4 of 0.1.
  assert.ok(Math.abs(share(0.1, 'ternary') / ((8 * (1 / 64) ** 2) / 12 / 4.04) - 1) < 0.3);
  assert.ok(Math.abs(share(0.1, 'int8') / ((8 * (1 / 127) ** 2) / 12 / 4.04) - 1) < 0.3);
});

test('inputs outside of their range, and ranges that few values need, are told apart', () => {
  const weights = weightsWith(0.5);
  const statistics = layerStatistics(weights, LAYOUT, [momentsOf(weights)]);
  const noiseOf = (scale: number) => {
    const watch = new InputWatch({ scale, zeroPoint: 0, maxCode: 255 });
    const values = Float32Array.from({ length: 10_000 }, (_, i) => (i % 5000 === 0 ? 100 : (i % 100) / 100));
    watch.add(values);
    return watch.noise(statistics);
  };
  const [narrow, wide] = [noiseOf(1 / 255), noiseOf(100 / 255)];
  // Two of 10,000 values lose 99; the gain from inputs to outputs is that of the signal.
  assert.ok(Math.abs(narrow.saturation! / ((2 * 99 ** 2) / 10_000) - 1) < 0.01);
  assert.equal(narrow.rangeOutlier, 0);
  assert.equal(wide.saturation, 0);
  assert.ok(Math.abs(wide.rangeOutlier! / ((100 / 255) ** 2 / 12) - 1) < 0.01);
});

test('means that moved count by what they move at the outputs', () => {
  const weights = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : i % 2 === 0 ? 1 : -1));
  const statistics = layerStatistics(weights, LAYOUT, [momentsOf(weights, 2)]);
  assert.deepEqual(shiftNoise([new Float64Array(COLUMNS).fill(2)], statistics), { inputShift: 0 });
  // The first channel moves by 8 · 0.1, the second one not at all.
  const { inputShift } = shiftNoise([new Float64Array(COLUMNS).fill(2.1)], statistics);
  assert.ok(Math.abs(inputShift! - 0.64 / 16) < 1e-9);
});

test('causes are ranked by the noise that they add, and small ones left out', () => {
  assert.deepEqual(rankCauses({ saturation: 0.01, deadGroups: 0.2, inputShift: 1e-5 }), [
    { cause: 'deadGroups', noise: 0.2 },
    { cause: 'saturation', noise: 0.01 },
  ]);
});
