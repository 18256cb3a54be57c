import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tensorFromFloats } from '../ir/index.js';
import { weightHistogram, worstWeightHistograms } from './weight-histograms.js';

/** A layer whose only weight is its number, so that the histograms tell which layer they are of. */
function source(number: number, outputSqnrDb: number | null, weightError: number | null = null) {
  const weight = tensorFromFloats([1], Float32Array.of(number));
  return { report: { outputSqnrDb, weightError }, original: weight, quantized: { decoded: weight } };
}

test('every weight is counted once, before and after, in bins that span the larger of both', () => {
  const original = Float32Array.of(-1, -0.5, -0.001, 0, 0.001, 0.5, 1);
  const quantized = Float32Array.of(-2, 0, 0, 0, 0, 0, 2);
  const histogram = weightHistogram(original, quantized);
  assert.equal(histogram.limit, 2);
  const filled = (counts: number[]) => counts.flatMap((count, bin) => (count === 0 ? [] : [[bin, count]]));
  assert.deepEqual(filled(histogram.quantized), [
    [0, 1],
    [31, 5],
    [62, 1],
  ]);
  assert.deepEqual(filled(histogram.original), [
    [15, 1],
    [23, 1],
    [31, 3],
    [39, 1],
    [47, 1],
  ]);
});

test('weights that are all zero lie in the middle bin', () => {
  const histogram = weightHistogram(new Float32Array(5), new Float32Array(5));
  assert.equal(histogram.limit, 0);
  assert.equal(histogram.original[31], 5);
});

test('the layers with the noisiest outputs have histograms, one per shared weight', async () => {
  const sources = [9, 3, 8, 1, 7, 2, 6, 4, 5].map((sqnrDb) => source(sqnrDb, sqnrDb));
  const tied = { ...sources[3]!, report: { outputSqnrDb: 2.5, weightError: null } };
  const histograms = await worstWeightHistograms([...sources, source(0.5, null), tied]);
  assert.deepEqual(
    [...histograms.values()].map(({ limit }) => limit),
    [1, 2, 3, 4, 5, 6],
  );
  assert.equal(histograms.has(sources[3]!.original), true);
});

test('without measured outputs the layers with the largest weight errors have them', async () => {
  const histograms = await worstWeightHistograms([source(1, null, 0.1), source(2, null, 0.3), source(3, null, 0.2)]);
  assert.deepEqual(
    [...histograms.values()].map(({ limit }) => limit),
    [2, 3, 1],
  );
});
