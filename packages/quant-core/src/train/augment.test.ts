import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floats } from '../testing/memory-dataset.js';
import { augment } from './augment.js';

/** Two channels that count pixels, the second from 100 on. */
function image(height: number, width: number) {
  const plane = (from: number) => Array.from({ length: height * width }, (_, i) => from + i);
  return floats([1, 2, height, width], [...plane(0), ...plane(100)]);
}

const rowsOf = (data: ArrayLike<number>, width: number) =>
  Array.from({ length: data.length / width }, (_, y) => Array.from(data).slice(y * width, (y + 1) * width));

test('images are shifted and mirrored as a whole, all channels alike, and edges are repeated', () => {
  const [height, width] = [4, 5];
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const { data } = augment(image(height, width), { input: 'x', maxShift: 1, mirrors: true }, seed);
    const [first, second] = [data.slice(0, 20) as Float32Array, data.slice(20) as Float32Array];
    assert.deepEqual(
      second,
      first.map((value) => value + 100),
    );
    seen.add(first.join());
    const rows = rowsOf(first, width);
    for (const row of rows) {
      const base = 5 * Math.floor(row[0]! / 5);
      assert.ok(
        row.every((value) => value >= base && value < base + 5),
        'rows stay together',
      );
      const steps = row.slice(1).map((value, i) => value - row[i]!);
      assert.ok(steps.every((step) => Math.abs(step) <= 1) && new Set(steps.filter((step) => step !== 0)).size === 1);
    }
  }
  assert.equal(seen.size, 3 * 3 * 2, 'every shift, mirrored and not');
});

test('the same seed gives the same images, and no shift without mirrors leaves them as they are', () => {
  const options = { input: 'x', maxShift: 2, mirrors: true };
  assert.deepEqual(augment(image(6, 6), options, 3), augment(image(6, 6), options, 3));
  assert.deepEqual(augment(image(6, 6), { input: 'x', maxShift: 0, mirrors: false }, 3), image(6, 6));
});
