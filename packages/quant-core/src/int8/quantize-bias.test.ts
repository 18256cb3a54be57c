import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_BIAS_CODE, quantizeBias, roundedBias, smallestWeightScales } from './quantize-bias.js';

describe('int32 biases', () => {
  it('are multiples of the product of both scales, as float32', () => {
    const { values, scales, clampedChannels } = quantizeBias(Float32Array.of(1, -0.3), 0.1, Float32Array.of(0.02, 0.3));
    const products = Float32Array.of(0.1 * Math.fround(0.02), 0.1 * Math.fround(0.3));
    assert.deepEqual(scales, products);
    assert.deepEqual(values, Int32Array.of(500, -10));
    assert.deepEqual(clampedChannels, []);
    const rounded = roundedBias(Float32Array.of(1, -0.3), 0.1, Float32Array.of(0.02, 0.3));
    assert.deepEqual(rounded, Float32Array.of(500 * products[0]!, -10 * products[1]!));
  });

  it('are clamped where they do not fit, and say in which channels', () => {
    const { values, clampedChannels } = quantizeBias(Float32Array.of(1, 1, -1), 1e-3, Float32Array.of(1, 1e-9, 1e-9));
    assert.deepEqual(values, Int32Array.of(1000, MAX_BIAS_CODE, -MAX_BIAS_CODE));
    assert.deepEqual(clampedChannels, [1, 2]);
  });

  it('fit when the weight scales respect the smallest ones, which are hardly larger than needed', () => {
    const bias = Float32Array.of(0, 1e-30, -0.7, 3, 1e20, 5e-38);
    for (const inputScale of [1e-6, 0.0173, 40]) {
      const smallest = smallestWeightScales(bias, inputScale);
      const { values, scales, clampedChannels } = quantizeBias(bias, inputScale, smallest);
      assert.deepEqual(clampedChannels, []);
      assert.ok(scales.every((scale) => scale >= 2 ** -121));
      for (const oc of [2, 3, 4]) assert.ok(Math.abs(values[oc]!) > 0.999 * MAX_BIAS_CODE);
    }
  });

  it('are refused with scales that are not positive and finite', () => {
    assert.throws(() => quantizeBias(Float32Array.of(1), 0, Float32Array.of(1)), { message: /channel 0 is 0/ });
    assert.throws(() => quantizeBias(Float32Array.of(1), 1e-30, Float32Array.of(1e-30)), RangeError);
    assert.throws(() => quantizeBias(Float32Array.of(1), 1, new Float32Array(2)), RangeError);
    assert.throws(() => smallestWeightScales(Float32Array.of(1), Number.NaN), RangeError);
  });
});
