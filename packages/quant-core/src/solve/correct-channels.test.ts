import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dequantize, ternarize } from '../fgq/index.js';
import { gaussianWeights } from '../fgq/random-weights.js';
import { correctChannels } from './correct-channels.js';
import { momentsAboutZero } from './input-moments.js';
import { momentsOf } from './testing.js';

const LAYOUT = { outputChannels: 3, inputChannels: 4, taps: 2 };
const COLUMNS = 8;
const ROWS = 200;
const WEIGHTS = gaussianWeights(24, 1);
const BIAS = Float32Array.of(0.5, -1, 2);
/** Windows in column order: tap·IC + ic. */
const INPUTS = Float64Array.from(gaussianWeights(ROWS * COLUMNS, 2), (value) => Math.max(value, -0.2) + 0.3);
const DECODED = dequantize(ternarize(WEIGHTS, LAYOUT, 4));

/** Outputs of the layer, [ROWS, 3], by its definition. */
function outputsOf(weights: Float32Array, bias: Float32Array, factors = [1, 1, 1]): Float64Array {
  return Float64Array.from({ length: ROWS * 3 }, (_, at) => {
    const [row, oc] = [Math.floor(at / 3), at % 3];
    let sum = bias[oc]!;
    for (let ic = 0; ic < 4; ic++) {
      for (let tap = 0; tap < 2; tap++) {
        sum += factors[oc]! * weights[oc * 8 + ic * 2 + tap]! * INPUTS[row * COLUMNS + tap * 4 + ic]!;
      }
    }
    return sum;
  });
}

/** Mean and standard deviation of an output channel. */
function spread(outputs: Float64Array, oc: number): { mean: number; deviation: number } {
  const own = outputs.filter((_, at) => at % 3 === oc);
  const mean = own.reduce((sum, value) => sum + value, 0) / ROWS;
  const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / ROWS;
  return { mean, deviation: Math.sqrt(variance) };
}

const ORIGINAL = outputsOf(WEIGHTS, BIAS);
const MOMENTS = momentsOf(INPUTS, ORIGINAL, ROWS, COLUMNS, 3);

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-5, `${actual} ${expected}`);

describe('correcting channels', () => {
  for (const mean of [false, true]) {
    for (const variance of [false, true]) {
      it(`matches ${mean ? 'the mean' : 'no mean'} and ${variance ? 'the variance' : 'no variance'}`, () => {
        const { factors, bias } = correctChannels(DECODED, LAYOUT, MOMENTS, BIAS, { mean, variance });
        const corrected = outputsOf(DECODED, bias, [...factors]);
        const uncorrected = outputsOf(DECODED, BIAS);
        for (let oc = 0; oc < 3; oc++) {
          const expected = {
            mean: spread(mean ? ORIGINAL : uncorrected, oc).mean,
            deviation: spread(variance ? ORIGINAL : uncorrected, oc).deviation,
          };
          near(spread(corrected, oc).mean, expected.mean);
          near(spread(corrected, oc).deviation, expected.deviation);
        }
      });
    }
  }

  it('finds the same by moments about zero', () => {
    const correction = { mean: false, variance: true };
    const expected = correctChannels(DECODED, LAYOUT, MOMENTS, BIAS, correction);
    const aboutZero = momentsAboutZero(MOMENTS, BIAS);
    const { factors, bias } = correctChannels(DECODED, LAYOUT, aboutZero, BIAS, { ...correction, isAboutZero: true });
    for (const [oc, factor] of expected.factors.entries()) {
      near(factors[oc]!, factor);
      near(bias[oc]!, expected.bias[oc]!);
    }
  });

  it('takes a layer without bias for one whose bias is zero', () => {
    const correction = { mean: false, variance: true };
    const without = correctChannels(DECODED, LAYOUT, MOMENTS, null, correction);
    assert.deepEqual(without, correctChannels(DECODED, LAYOUT, MOMENTS, new Float32Array(3), correction));
  });

  it('leaves the scale of a channel alone that is dead in either network, and bounds the others', () => {
    const decoded = DECODED.slice().fill(0, 0, 8);
    decoded.subarray(8, 16).forEach((value, i) => {
      decoded[8 + i] = value * 100;
    });
    const outputVariance = MOMENTS.outputVariance.slice().fill(0, 2);
    const correction = { mean: true, variance: true };
    const { factors, bias } = correctChannels(decoded, LAYOUT, { ...MOMENTS, outputVariance }, BIAS, correction);
    assert.deepEqual(factors, Float32Array.of(1, 0.5, 1));
    near(bias[0]!, MOMENTS.outputMean[0]!);
  });

  it('refuses moments of another layer', () => {
    const layout = { ...LAYOUT, inputChannels: 8, taps: 1 };
    const moments = { ...MOMENTS, columns: 9 };
    const correction = { mean: true, variance: true };
    assert.throws(() => correctChannels(DECODED, layout, moments, BIAS, correction), { message: /9 columns/ });
  });
});

describe('moments about zero', () => {
  it('are the means of products, with the outputs taken without their bias', () => {
    const { second, cross } = momentsAboutZero(MOMENTS, BIAS);
    const copy = { ...MOMENTS, second: MOMENTS.second.slice(), cross: MOMENTS.cross.slice() };
    assert.equal(momentsAboutZero(copy, BIAS, true).second, copy.second);
    assert.deepEqual(copy, { ...MOMENTS, second, cross });
    for (const [i, j, oc] of [
      [0, 0, 0],
      [2, 5, 1],
      [7, 3, 2],
    ] as const) {
      let [xx, xy] = [0, 0];
      for (let row = 0; row < ROWS; row++) {
        const x = INPUTS[row * COLUMNS + i]!;
        xx += (x * INPUTS[row * COLUMNS + j]!) / ROWS;
        xy += (x * (ORIGINAL[row * 3 + oc]! - BIAS[oc]!)) / ROWS;
      }
      near(second[i * COLUMNS + j]!, xx);
      near(cross[i * 3 + oc]!, xy);
    }
  });
});
