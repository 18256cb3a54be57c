import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussian, seededRandom } from '../testing/random.js';
import { chooseRange, type RangeChoice } from './choose-range.js';
import { divergence } from './divergence.js';
import { Histogram } from './histogram.js';
import { affineFor } from './value-range.js';

const METHODS = ['minmax', 'percentile', 'mse', 'entropy', 'dfp'] as const;

function rangeOf(values: ArrayLike<number>, choice: Partial<RangeChoice> = {}) {
  const histogram = new Histogram();
  histogram.add(values);
  return chooseRange(histogram, { method: 'minmax', percentile: 99.99, nonNegative: false, maxCode: 255, ...choice });
}

/** Mean squared error of the values under a quantization, one by one. */
function quantizationError(
  values: ArrayLike<number>,
  { scale, zeroPoint }: { scale: number; zeroPoint: number },
  maxCode = 255,
): number {
  let sum = 0;
  for (const value of Array.from(values)) {
    const code = Math.min(maxCode, Math.max(0, Math.round(value / scale) + zeroPoint));
    sum += (value - (code - zeroPoint) * scale) ** 2;
  }
  return sum / values.length;
}

function normals(count: number, seed: number): Float32Array {
  const normal = gaussian(seededRandom(seed));
  return Float32Array.from({ length: count }, normal);
}

test('minmax covers what was seen, and zero', () => {
  assert.deepEqual(rangeOf([-1, 0.5, 2]), {
    min: -1,
    max: 2,
    chosenMin: -1,
    chosenMax: 2,
    scale: Math.fround(3 / 255),
    zeroPoint: 85,
    maxCode: 255,
  });
  assert.equal(rangeOf([3, 5]).chosenMin, 0);
  assert.equal(rangeOf([-5, -3]).chosenMax, 0);
  assert.equal(rangeOf([-5, -3]).zeroPoint, 255);
});

test('values that are never negative have zero point 0, whatever the method', () => {
  const values = normals(20000, 3).map((value) => Math.max(0, value));
  for (const method of METHODS) {
    assert.equal(rangeOf(values, { method }).zeroPoint, 0);
    assert.equal(rangeOf(values, { method }).chosenMin, 0);
  }
});

test('a value that the caller knows to come out of a ReLU starts at 0 although it was seen before', () => {
  for (const method of METHODS) {
    const range = rangeOf(normals(5000, 4), { method, nonNegative: true });
    assert.equal(range.zeroPoint, 0);
    assert.equal(range.chosenMin, 0);
    assert.ok(range.chosenMax > 2);
  }
});

test('a range without width still has a scale above 0', () => {
  for (const method of METHODS) {
    for (const maxCode of [255, 15] as const) {
      const { min, max, ...chosen } = rangeOf([0, 0], { method, maxCode });
      assert.deepEqual(chosen, { chosenMin: 0, chosenMax: 0, scale: 1, zeroPoint: 0, maxCode });
      assert.ok(rangeOf([1e-44], { method, maxCode }).scale > 0);
      assert.ok(Number.isFinite(rangeOf([-3e38, 3e38], { method, maxCode }).scale));
    }
    assert.equal(rangeOf([4, 4], { method }).scale, method === 'dfp' ? 4 / 256 : Math.fround(4 / 255));
  }
});

test('the percentile range equals that of the sorted values up to the width of a bin', () => {
  const values = normals(50000, 5);
  const sorted = values.toSorted();
  const histogram = new Histogram();
  histogram.add(values);
  const range = rangeOf(values, { method: 'percentile', percentile: 99.9 });
  assert.ok(Math.abs(range.chosenMax - sorted[sorted.length - 50]!) <= 2 * histogram.binWidth);
  assert.ok(Math.abs(range.chosenMin - sorted[50]!) <= 2 * histogram.binWidth);
  assert.equal(rangeOf(values, { method: 'percentile', percentile: 100 }).chosenMax, histogram.max);
});

test('the mse range is within 1 % of the error of the best of 2,500 ranges tried on the values themselves', () => {
  const bulk = normals(2000, 6);
  const skewed = bulk.map((value, i) => (i === 0 ? 60 : value > 0 ? value * 3 : value));
  for (const values of [bulk, skewed]) {
    const { min, max, ...chosen } = rangeOf(values, { method: 'mse' });
    let best = Number.POSITIVE_INFINITY;
    for (let i = 1; i <= 50; i++) {
      for (let j = 1; j <= 50; j++)
        best = Math.min(best, quantizationError(values, affineFor((min * i) / 50, (max * j) / 50)));
    }
    assert.ok(quantizationError(values, chosen) <= 1.01 * best, `${quantizationError(values, chosen)} against ${best}`);
    assert.ok(quantizationError(values, chosen) <= quantizationError(values, affineFor(min, max)));
  }
});

test('16 levels span the same range in wider steps, and their zero point is one of them', () => {
  const signed = rangeOf([-1, 0.5, 2], { maxCode: 15 });
  assert.deepEqual([signed.scale, signed.zeroPoint, signed.maxCode], [Math.fround(3 / 15), 5, 15]);
  assert.equal(rangeOf([-5, -3], { maxCode: 15 }).zeroPoint, 15);
  assert.deepEqual(
    [rangeOf([0, 6], { maxCode: 15 }).scale, rangeOf([0, 6], { maxCode: 15 }).zeroPoint],
    [Math.fround(6 / 15), 0],
  );
});

test('the mse range of few levels is within 1 % of the error of the best of all zero points and 200 scales', () => {
  const bulk = normals(2000, 9);
  const distributions = {
    normal: bulk,
    'mostly negative': bulk.map((value) => value - 1),
    skewed: bulk.map((value) => (value > 0 ? 3 * value : value)),
    silu: bulk.map((value) => (2 * value) / (1 + Math.exp(-2 * value))),
    relu: bulk.map((value) => Math.max(0, value)),
    'heavy tails': bulk.map((value) => value ** 3),
  };
  for (const maxCode of [15, 3] as const) {
    for (const [name, values] of Object.entries(distributions)) {
      const nonNegative = name === 'relu';
      const { min, max, ...chosen } = rangeOf(values, { method: 'mse', maxCode, nonNegative });
      let best = Number.POSITIVE_INFINITY;
      for (let zeroPoint = 0; zeroPoint <= (nonNegative ? 0 : maxCode); zeroPoint++) {
        for (let i = 1; i <= 200; i++) {
          const scale = ((max - min) / maxCode) * (i / 200);
          best = Math.min(best, quantizationError(values, { scale, zeroPoint }, maxCode));
        }
      }
      const error = quantizationError(values, chosen, maxCode);
      assert.ok(error <= 1.01 * best, `${name}, ${maxCode}: ${error} against ${best}`);
    }
  }
});

test('the fewer the levels, the more of the tails the mse range gives up', () => {
  const values = normals(20000, 10);
  for (const method of ['mse', 'percentile'] as const) {
    const [two, four, eight] = ([3, 15, 255] as const).map(
      (maxCode) => rangeOf(values, { method, maxCode, percentile: undefined }).chosenMax,
    );
    assert.ok(two! < 0.8 * four! && four! < 0.9 * eight!, `${method}: ${two}, ${four}, ${eight}`);
  }
});

test('values that the full range represents exactly keep it', () => {
  const pixels = Float32Array.from({ length: 4096 }, (_, i) => i % 256);
  for (const method of METHODS) {
    const { scale, zeroPoint } = rangeOf(pixels, { method });
    if (method !== 'percentile') assert.deepEqual({ scale, zeroPoint }, { scale: 1, zeroPoint: 0 }, method);
  }
});

test('equal values give equal ranges', () => {
  for (const method of METHODS)
    assert.deepEqual(rangeOf(normals(4000, 8), { method }), rangeOf(normals(4000, 8), { method }));
});

/** D(P ‖ Q) as its definition has it, bin by bin. */
function referenceDivergence(
  histogram: Histogram,
  { scale, zeroPoint }: { scale: number; zeroPoint: number },
  maxCode: number,
): number {
  const { lower, upper, counts } = histogram.cells();
  const bins = Array.from(counts, (count, i) => ({ count, middle: (lower[i]! + upper[i]!) / 2 }))
    .filter(({ middle }) => middle !== 0)
    .map((bin) => ({ ...bin, code: Math.floor(bin.middle / scale + 0.5) + zeroPoint }));
  const inside = bins.filter(({ code }) => code >= 0 && code <= maxCode);
  const p = inside.map(({ count }) => count);
  for (const { count, code } of bins) {
    if (code < 0) p[0]! += count;
    if (code > maxCode) p[p.length - 1]! += count;
  }
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const insideTotal = inside.reduce((sum, { count }) => sum + count, 0);
  const levels = new Map<number, { count: number; bins: number }>();
  for (const { code, count } of inside) {
    const level = levels.get(code) ?? { count: 0, bins: 0 };
    levels.set(code, { count: level.count + count, bins: level.bins + 1 });
  }
  return inside.reduce((sum, { code }, i) => {
    const level = levels.get(code)!;
    const q = level.count / level.bins / insideTotal;
    return sum + (p[i]! / total) * Math.log(p[i]! / total / q);
  }, 0);
}

test('the divergence is that of its definition, with and without values beyond the range, of many bins or of one', () => {
  const histogram = new Histogram();
  histogram.add(normals(3000, 12).map((value) => (value > 0.5 ? 2 * value : value)));
  histogram.add(new Float32Array(500));
  for (const [maxCode, scale, zeroPoint] of [
    [255, 0.04, 100],
    [255, 0.004, 0],
    [255, 0.01, 255],
    [15, 0.3, 7],
    [15, 0.01, 15],
  ] as const) {
    const expected = referenceDivergence(histogram, { scale, zeroPoint }, maxCode);
    const actual = divergence(histogram, false, maxCode)({ scale, zeroPoint });
    assert.ok(expected > 0 && Math.abs(actual - expected) <= 1e-9, `${actual} is not ${expected}`);
  }
});

test('a quantization that covers one bin of several, none, or splits bins has no divergence', () => {
  const histogram = new Histogram();
  histogram.add([-4, -4, 1, 1, 1, 8]);
  const of = divergence(histogram, false, 15);
  assert.equal(of({ scale: 0.1, zeroPoint: 0 }), Number.POSITIVE_INFINITY);
  assert.equal(of({ scale: 0.01, zeroPoint: 0 }), Number.POSITIVE_INFINITY);
  assert.equal(of({ scale: histogram.binWidth / 2, zeroPoint: 0 }), Number.POSITIVE_INFINITY);
  assert.ok(of({ scale: 0.8, zeroPoint: 5 }) < 1e-12);
});

test('the divergence of the entropy range is within 2 % of the least of all ranges tried', () => {
  const bulk = normals(20000, 13);
  for (const maxCode of [255, 15] as const) {
    for (const values of [bulk, bulk.map((value) => Math.max(0, value)), bulk.map((value) => value ** 3)]) {
      const histogram = new Histogram();
      histogram.add(values);
      const cost = divergence(histogram, false, maxCode);
      const { min, max, ...chosen } = rangeOf(values, { method: 'entropy', maxCode });
      let best = Number.POSITIVE_INFINITY;
      for (let i = min < 0 ? 1 : 40; i <= 40; i++) {
        for (let j = 1; j <= 40; j++)
          best = Math.min(best, cost(affineFor((min * i) / 40, (max * j) / 40, min >= 0, maxCode)));
      }
      assert.ok(cost(chosen) <= 1.02 * best, `${maxCode}: ${cost(chosen)} against ${best}`);
    }
  }
});

test('the entropy range leaves a far outlier out', () => {
  const values = normals(20000, 14).map((value, i) => (i === 0 ? 60 : Math.abs(value)));
  for (const maxCode of [255, 15] as const) {
    const { chosenMax } = rangeOf(values, { method: 'entropy', maxCode });
    assert.ok(chosenMax > 2 && chosenMax < 15, `${chosenMax}`);
  }
});

test('scales of dynamic fixed point are the powers of two that the largest magnitude needs', () => {
  const dfp = (values: number[], maxCode: 255 | 15 = 255, nonNegative = false) => {
    const { scale, zeroPoint } = rangeOf(values, { method: 'dfp', maxCode, nonNegative });
    return [scale, zeroPoint];
  };
  assert.deepEqual(dfp([0, 3.7]), [2 ** (2 - 8), 0]);
  assert.deepEqual(dfp([0, 4]), [2 ** (2 - 8), 0], 'a power of two is its own ceiling');
  assert.deepEqual(dfp([0, 4.001]), [2 ** (3 - 8), 0]);
  assert.deepEqual(dfp([-3.7, 1]), [2 ** (2 - 7), 128]);
  assert.deepEqual(dfp([-0.1, 0.3]), [2 ** (-1 - 7), 128]);
  assert.deepEqual(dfp([-3.7, 1], 255, true), [2 ** (0 - 8), 0], 'what is below zero does not count behind a ReLU');
  assert.deepEqual(dfp([0, 3.7], 15), [2 ** (2 - 4), 0]);
  assert.deepEqual(dfp([-3.7, 1], 15), [2 ** (2 - 3), 8]);
});
