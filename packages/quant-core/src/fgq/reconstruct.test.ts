import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gaussianWeights } from './random-weights.js';
import { bitsPerWeight, dequantize, relativeError, toInt8Weights, zeroShare } from './reconstruct.js';
import { ternarizeTwice } from './residual-plane.js';
import { ternarize } from './ternarize.js';

const LAYOUT = { outputChannels: 2, inputChannels: 5, taps: 2 };

/** Groups of two input channels: G = 3, the last one short; codes are counted up so that each group has its own. */
const EXAMPLE = {
  layout: LAYOUT,
  groupSize: 2,
  codes: Int8Array.of(1, -1, 0, 1, -1, 1, 1, 0, 1, -1, 0, 1, 1, 1, -1, -1, 1, 1, 0, 1),
  groupCodes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
  channelScales: Float32Array.of(0.5, 0.25),
};

describe('ternary weights', () => {
  it('become int8 weights by their group codes', () => {
    assert.deepEqual(
      toInt8Weights(EXAMPLE),
      Int8Array.of(1, -2, 0, 2, -3, 4, 3, 0, 5, -6, 0, 8, 7, 8, -9, -10, 9, 10, 0, 12),
    );
  });

  it('become real numbers by the scale of their output channel', () => {
    const values = toInt8Weights(EXAMPLE);
    const expected = Float32Array.from(values, (value, i) => value * (i < 10 ? 0.5 : 0.25));
    assert.deepEqual(dequantize(EXAMPLE), expected);
  });

  it('add up their two planes', () => {
    const residual = { codes: EXAMPLE.codes.map((t) => -t), groupCodes: EXAMPLE.groupCodes.map((code) => 2 * code) };
    assert.deepEqual(
      toInt8Weights({ ...EXAMPLE, residual }),
      toInt8Weights(EXAMPLE).map((value) => -value),
    );
  });

  it('state their share of zeros', () => {
    assert.equal(zeroShare(EXAMPLE), 4 / 20);
    const residual = { codes: new Int8Array(20), groupCodes: new Uint8Array(12) };
    assert.equal(zeroShare({ ...EXAMPLE, residual }), 24 / 40);
  });

  it('have the error of the formula, and none for weights that are all zero', () => {
    assert.equal(relativeError(Float32Array.of(3, 4), Float32Array.of(3, 3)), 1 / 25);
    assert.equal(relativeError(new Float32Array(2), new Float32Array(2)), 0);
    assert.throws(() => relativeError(new Float32Array(2), new Float32Array(3)), RangeError);
  });

  it('take the bits that their arrays take', () => {
    const layout = { outputChannels: 64, inputChannels: 100, taps: 9 };
    for (const groupSize of [4, 8, 16, 32, 64]) {
      const { codes, groupCodes, channelScales } = ternarize(gaussianWeights(57_600, 1), layout, groupSize);
      const bits = codes.length * 2 + groupCodes.length * 8 + channelScales.length * 32;
      assert.ok(Math.abs(bitsPerWeight(layout, groupSize) - bits / codes.length) < 1e-12);
      const { residual } = ternarizeTwice(gaussianWeights(57_600, 1), layout, groupSize);
      const more = residual.codes.length * 2 + residual.groupCodes.length * 8;
      assert.ok(Math.abs(bitsPerWeight(layout, groupSize, 2) - (bits + more) / codes.length) < 1e-12);
    }
    const wide = { outputChannels: 1, inputChannels: 2 ** 20, taps: 1 };
    assert.deepEqual(
      [4, 8, 16, 32, 64].map((groupSize) => Number(bitsPerWeight(wide, groupSize).toFixed(3))),
      [4, 3, 2.5, 2.25, 2.125],
    );
  });
});
