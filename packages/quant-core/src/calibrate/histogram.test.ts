import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussian, seededRandom } from '../testing/random.js';
import { Histogram } from './histogram.js';

/** Batches whose magnitude grows a thousandfold, so that the histogram has to widen several times. */
function growingBatches(): Float32Array[] {
  const normal = gaussian(seededRandom(7));
  return [0.01, 0.3, 1, 10].map((scale) =>
    Float32Array.from({ length: 500 }, (_, i) => (i % 5 === 0 ? 0 : normal() * scale)),
  );
}

function cellsOf(batches: readonly Float32Array[]) {
  const histogram = new Histogram();
  for (const batch of batches) assert.equal(histogram.add(batch), null);
  return { histogram, cells: histogram.cells() };
}

test('one pass counts what a second pass with known limits would count', () => {
  const batches = growingBatches();
  const { histogram, cells } = cellsOf(batches);
  const expected = new Map<number, number>();
  for (const value of batches.flatMap((batch) => [...batch])) {
    if (value === 0) continue;
    const bin = Math.floor(value / histogram.binWidth) * histogram.binWidth;
    expected.set(bin, (expected.get(bin) ?? 0) + 1);
  }
  const nonZero = [...cells.counts.keys()].filter((i) => cells.lower[i] !== cells.upper[i] || cells.lower[i] !== 0);
  assert.equal(nonZero.length, expected.size);
  for (const i of nonZero) {
    const bin = Math.floor(cells.lower[i]! / histogram.binWidth) * histogram.binWidth;
    assert.equal(cells.counts[i], expected.get(bin));
  }
});

test('the counts depend neither on the order of the values nor on the batches', () => {
  const batches = growingBatches();
  const values = Float32Array.from(batches.flatMap((batch) => [...batch]));
  const { cells } = cellsOf(batches);
  assert.deepEqual(cellsOf([...batches].reverse()).cells, cells);
  assert.deepEqual(cellsOf([values]).cells, cells);
});

test('the wider side of zero uses between half and all of 4096 bins', () => {
  for (const max of [1e-30, 0.999, 1, 1.001, 255, 3e38]) {
    const { histogram } = cellsOf([Float32Array.of(max)]);
    const bins = Math.floor(histogram.max / histogram.binWidth) + 1;
    assert.ok(bins > 2048 && bins <= 4096, `${max} lies in bin ${bins}`);
  }
});

test('zeros are counted apart, as a cell without width', () => {
  const { histogram, cells } = cellsOf([Float32Array.of(0, -0, 1, -1, 0)]);
  assert.equal(histogram.zeros, 3);
  assert.equal(histogram.count, 5);
  assert.deepEqual([...cells.counts], [1, 3, 1]);
  assert.equal(cells.lower[1], 0);
  assert.equal(cells.upper[1], 0);
});

test('cells lie within the values seen', () => {
  const { cells } = cellsOf([Float32Array.of(-3.3, 0.7, 5.1)]);
  assert.equal(cells.lower[0], Math.fround(-3.3));
  assert.equal(cells.upper.at(-1), Math.fround(5.1));
});

test('values that are not finite are handed back and change nothing', () => {
  const histogram = new Histogram();
  histogram.add(Float32Array.of(1, 2));
  assert.equal(histogram.add(Float32Array.of(5, Number.NaN)), Number.NaN);
  assert.equal(histogram.add(Float32Array.of(5, Number.NEGATIVE_INFINITY)), Number.NEGATIVE_INFINITY);
  assert.equal(histogram.count, 2);
  assert.equal(histogram.max, 2);
});
