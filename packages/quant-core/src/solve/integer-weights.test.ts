import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_GROUP_CODE, type WeightLayout } from '../fgq/index.js';
import { gaussianWeights } from '../fgq/random-weights.js';
import { dequantizeInt2, quantizeInt2 } from '../int2/index.js';
import { dequantizeInt8, quantizeInt8 } from '../int8/index.js';
import type { SearchedOptions } from './feedback-options.js';
import { solveInt2 } from './solve-int2.js';
import { type Int4Weights, LARGEST_INT4, type SolveInt4Options, solveInt4 } from './solve-int4.js';
import { type SolveInt8Options, solveInt8 } from './solve-int8.js';
import { lossOf, outputError, randomMoments } from './testing.js';

const LAYER: WeightLayout = { outputChannels: 8, inputChannels: 40, taps: 3 };
const WEIGHTS = gaussianWeights(8 * 40 * 3, 3);
const MOMENTS = randomMoments(WEIGHTS, LAYER, { factors: 8, seed: 11 });
const DRIFTED = randomMoments(WEIGHTS, LAYER, { factors: 8, seed: 11, drift: 1 });

/** v·c·s. */
function dequantizeInt4({ layout, groupSize, values, groupCodes, channelScales }: Int4Weights): Float32Array {
  const { inputChannels, taps } = layout;
  const groups = Math.ceil(inputChannels / groupSize);
  return Float32Array.from(values, (value, i) => {
    const oc = Math.floor(i / (inputChannels * taps));
    const ic = Math.floor(i / taps) % inputChannels;
    const code = groupCodes[(oc * groups + Math.floor(ic / groupSize)) * taps + (i % taps)]!;
    return value * code * channelScales[oc]!;
  });
}

describe('int8 by error feedback', () => {
  const decode = (options: Partial<SolveInt8Options> = {}, moments = MOMENTS) =>
    dequantizeInt8(solveInt8(WEIGHTS, LAYER, moments, { regress: false, ...options }));

  it('loses a fraction of what the nearest codes lose in the outputs', () => {
    const nearest = lossOf(WEIGHTS, dequantizeInt8(quantizeInt8(WEIGHTS, LAYER)), LAYER, MOMENTS);
    const plain = lossOf(WEIGHTS, decode({ refinements: 0 }), LAYER, MOMENTS);
    assert.ok(plain < 0.3 * nearest, `${plain} against ${nearest}`);
    const refined = lossOf(WEIGHTS, decode(), LAYER, MOMENTS);
    assert.ok(refined <= plain, `${refined} against ${plain}`);
  });

  it('is the nearest codes without moments', () => {
    assert.deepEqual(solveInt8(WEIGHTS, LAYER, null, { regress: false }), quantizeInt8(WEIGHTS, LAYER));
  });

  it('keeps codes and scales within their bounds', () => {
    const minimumScales = new Float32Array(8).fill(0.1, 4);
    const options = { regress: true, largestCode: 64, minimumScales };
    const { values, scales } = solveInt8(WEIGHTS, LAYER, MOMENTS, options);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest <= 64 && largest > 55, `${largest}`);
    assert.ok(scales.every((scale, oc) => scale >= minimumScales[oc]! && scale > 0));
  });

  it('makes up for inputs that the earlier layers changed', () => {
    const [weights, outputs] = [false, true].map((regress) =>
      outputError(decode({ regress }, DRIFTED), LAYER, DRIFTED),
    );
    assert.ok(outputs! < 0.6 * weights!, `${outputs} against ${weights}`);
  });

  it('gives channels of zeros zero codes', () => {
    const zeros = WEIGHTS.slice().fill(0, 120, 240);
    const { values, scales } = solveInt8(zeros, LAYER, MOMENTS, { regress: false });
    assert.ok(values.subarray(120, 240).every((value) => value === 0) && scales[1]! > 0);
  });
});

describe('uniform 2 bits by error feedback', () => {
  const solve = (options: Partial<SearchedOptions> = {}, moments = MOMENTS) =>
    solveInt2(WEIGHTS, LAYER, moments, { regress: false, ...options });
  const lossWith = (options: Partial<SearchedOptions>) =>
    lossOf(WEIGHTS, dequantizeInt2(solve(options)), LAYER, MOMENTS);

  it('loses a fraction of what the nearest codes lose in the outputs, and less with every step', () => {
    const nearest = lossOf(WEIGHTS, dequantizeInt2(quantizeInt2(WEIGHTS, LAYER)), LAYER, MOMENTS);
    const plain = lossWith({ refinements: 0, searches: 0 });
    const refined = lossWith({ searches: 0 });
    const searched = lossWith({});
    assert.ok(plain < 0.4 * nearest, `${plain} against ${nearest}`);
    assert.ok(refined < plain && searched < refined, `${plain}, ${refined}, ${searched}`);
  });

  it('has the four codes alone, also in channels of zeros, and scales within their bounds', () => {
    const zeros = WEIGHTS.slice().fill(0, 120, 240);
    const minimumScales = new Float32Array(8).fill(0.6, 4);
    const { values, scales } = solveInt2(zeros, LAYER, MOMENTS, { regress: true, minimumScales });
    assert.deepEqual(
      [...new Set(values)].sort((a, b) => a - b),
      [-3, -1, 1, 3],
    );
    assert.ok(scales.every((scale, oc) => scale >= minimumScales[oc]! && scale > 0));
  });

  it('makes up for inputs that the earlier layers changed', () => {
    const [weights, outputs] = [false, true].map((regress) =>
      outputError(dequantizeInt2(solve({ regress }, DRIFTED)), LAYER, DRIFTED),
    );
    assert.ok(outputs! < 0.8 * weights!, `${outputs} against ${weights}`);
  });

  it('is exact for weights that are on its grid', () => {
    const onGrid = Float32Array.from(
      WEIGHTS,
      (weight) => (weight < 0 ? -1 : 1) * (Math.abs(weight) > 1 ? 3 : 1) * 2 ** -6,
    );
    assert.deepEqual(dequantizeInt2(solveInt2(onGrid, LAYER, MOMENTS, { regress: false })), onGrid);
  });
});

describe('int4 in groups', () => {
  const options: SolveInt4Options = { groupSize: 32, largestGroupCode: 9, regress: false };
  const decode = (changed: Partial<SolveInt4Options> = {}, moments: typeof MOMENTS | null = MOMENTS) =>
    dequantizeInt4(solveInt4(WEIGHTS, LAYER, moments, { ...options, ...changed }));

  it('loses a fraction of what the nearest codes lose in the outputs', () => {
    for (const largestGroupCode of [9, 255]) {
      const nearest = lossOf(WEIGHTS, decode({ largestGroupCode }, null), LAYER, MOMENTS);
      const fed = lossOf(WEIGHTS, decode({ largestGroupCode }), LAYER, MOMENTS);
      assert.ok(fed < 0.3 * nearest, `${fed} against ${nearest}`);
    }
  });

  it('is exact for weights that are on its grid', () => {
    const scale = 2 ** -8;
    // Each tap has a scale of its own, and each group of four input channels a largest code.
    const onGrid = Float32Array.from(WEIGHTS, (weight, i) => {
      const code = Math.floor(i / 3) % 4 === 0 ? 7 : Math.max(Math.min(Math.round(2 * weight), 7), -7);
      return code * scale * (1 + (i % 3));
    });
    const found = dequantizeInt4(solveInt4(onGrid, LAYER, null, { ...options, groupSize: 4, largestGroupCode: 255 }));
    const energy = onGrid.reduce((sum, weight) => sum + weight * weight, 0);
    const error = onGrid.reduce((sum, weight, i) => sum + (weight - found[i]!) ** 2, 0);
    assert.ok(error < 1e-5 * energy, `${error / energy}`);
  });

  it('keeps codes and scales within their bounds, where the last group is short too', () => {
    for (const groupSize of [8, 32, 64]) {
      const minimumScales = new Float32Array(8).fill(0.5, 4);
      const solved = solveInt4(WEIGHTS, LAYER, MOMENTS, { ...options, groupSize, minimumScales });
      assert.equal(solved.groupCodes.length, 8 * Math.ceil(40 / groupSize) * 3);
      assert.ok(solved.values.every((value) => Math.abs(value) <= LARGEST_INT4));
      assert.ok(solved.groupCodes.every((code) => code <= 9 && code * LARGEST_INT4 <= MAX_GROUP_CODE));
      assert.ok(solved.channelScales.every((scale, oc) => scale >= minimumScales[oc]! && scale > 0));
    }
  });

  it('gives the same result every time', () => {
    const solve = () => solveInt4(WEIGHTS, LAYER, DRIFTED, { ...options, regress: true });
    assert.deepEqual(solve(), solve());
  });

  it('refuses arguments that do not fit each other', () => {
    const solve = (changed: Partial<SolveInt4Options>) => solveInt4(WEIGHTS, LAYER, null, { ...options, ...changed });
    assert.throws(() => solve({ largestGroupCode: 0 }), { message: /largestGroupCode/ });
    assert.throws(() => solve({ largestGroupCode: 256 }), { message: /largestGroupCode/ });
    assert.throws(() => solve({ regress: true }), { message: /needs moments/ });
    assert.throws(() => solve({ groupSize: 0 }), { message: /groupSize/ });
  });
});
