import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { gaussianWeights } from '../fgq/random-weights.js';
import { relativeError } from '../fgq/reconstruct.js';
import { dequantizeInt8, quantizeInt8 } from './quantize-int8.js';

const LAYOUT = { outputChannels: 4, inputChannels: 32, taps: 9 };
const COUNT = 4 * 32 * 9;

describe('int8 weights', () => {
  it('are within half a step of the weights when the scale is that of the largest', () => {
    const weights = gaussianWeights(COUNT, 1);
    const quantized = quantizeInt8(weights, LAYOUT, { scale: 'max-abs' });
    dequantizeInt8(quantized).forEach((value, i) => {
      const step = quantized.scales[Math.floor(i / 288)]!;
      assert.ok(Math.abs(value - weights[i]!) <= step * (0.5 + 1e-6));
    });
    for (let oc = 0; oc < 4; oc++) {
      const codes = quantized.values.subarray(oc * 288, (oc + 1) * 288);
      assert.equal(
        codes.reduce((a, b) => Math.max(a, Math.abs(b)), 0),
        127,
      );
    }
  });

  it('have clearly less error with a searched scale, in every channel', () => {
    const weights = gaussianWeights(COUNT, 2);
    const searched = dequantizeInt8(quantizeInt8(weights, LAYOUT, { scale: 'mse' }));
    const plain = dequantizeInt8(quantizeInt8(weights, LAYOUT, { scale: 'max-abs' }));
    for (let first = 0; first < COUNT; first += 288) {
      const errorOf = (values: Float32Array) =>
        relativeError(weights.subarray(first, first + 288), values.subarray(first, first + 288));
      assert.ok(errorOf(searched) <= errorOf(plain));
    }
    assert.ok(relativeError(weights, searched) < 0.97 * relativeError(weights, plain));
    assert.deepEqual(dequantizeInt8(quantizeInt8(weights, LAYOUT)), searched);
  });

  it('stay within the largest code that was asked for', () => {
    const { values } = quantizeInt8(gaussianWeights(COUNT, 3), LAYOUT, { largestCode: 64 });
    assert.ok(values.every((value) => Math.abs(value) <= 64));
    for (const largestCode of [0, 128, 1.5]) {
      assert.throws(() => quantizeInt8(new Float32Array(COUNT), LAYOUT, { largestCode }), { message: /largestCode/ });
    }
  });

  it('negate with the weights', () => {
    const weights = gaussianWeights(COUNT, 4);
    const negated = quantizeInt8(
      weights.map((w) => -w),
      LAYOUT,
    );
    const plain = quantizeInt8(weights, LAYOUT);
    assert.deepEqual(negated, { ...plain, values: plain.values.map((value) => -value) });
  });

  it('have a positive scale in channels of zeros and of denormal weights', () => {
    const weights = gaussianWeights(COUNT, 5)
      .fill(0, 0, 288)
      .fill(2 ** -149, 288, 576);
    const { scales, values } = quantizeInt8(weights, LAYOUT);
    assert.ok(scales.every((scale) => scale > 0));
    assert.ok(values.subarray(0, 288).every((value) => value === 0));
    assert.ok(values.subarray(288, 576).every((value) => value === 1));
  });

  it('respect a lower bound of the scales', () => {
    const minimumScales = Float32Array.of(0, 10, 0, 0);
    const { scales } = quantizeInt8(gaussianWeights(COUNT, 6), LAYOUT, { minimumScales });
    assert.equal(scales[1], 10);
    assert.ok(scales[0]! < 1);
  });

  it('refuse weights that are not finite', () => {
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const weights = gaussianWeights(COUNT, 7);
      weights[300] = value;
      assert.throws(
        () => quantizeInt8(weights, LAYOUT),
        (error) => error instanceof TritforgeError && error.message === `weight 300 of ${COUNT} is ${value}`,
      );
    }
  });
});
