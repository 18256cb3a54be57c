import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floats } from '../testing/memory-dataset.js';
import { cropImages } from './crop-images.js';

const [HEIGHT, WIDTH] = [6, 8];

/** Two channels whose values are the row plus ten times the column, and the same negated. */
function image() {
  const plane = Array.from({ length: HEIGHT * WIDTH }, (_, i) => Math.floor(i / WIDTH) + 10 * (i % WIDTH));
  return floats([1, 2, HEIGHT, WIDTH], [...plane, ...plane.map((value) => -value)]);
}

test('windows of a plane surface are parts of it, enlarged evenly, all channels alike', () => {
  const shares: number[] = [];
  for (let seed = 0; seed < 300; seed++) {
    const data = cropImages(image(), 0.25, seed).data as Float32Array;
    const at = (y: number, x: number) => data[y * WIDTH + x]!;
    for (let i = 0; i < HEIGHT * WIDTH; i++) assert.ok(Math.abs(data[i]! + data[HEIGHT * WIDTH + i]!) < 1e-4);
    // Away from the border, where values are repeated, steps are those of the window.
    const [down, right] = [at(3, 4) - at(2, 4), (at(2, 4) - at(2, 3)) / 10];
    assert.ok(Math.abs(at(4, 5) - at(2, 3) - 2 * down - 20 * right) < 1e-3, `seed ${seed}`);
    assert.ok(down <= 1 + 1e-5 && right <= 1 + 1e-5);
    shares.push(down * right);
  }
  assert.ok(Math.min(...shares) >= 0.25 - 1e-4);
  assert.ok(Math.min(...shares) < 0.3 && Math.max(...shares) > 0.9, `${Math.min(...shares)} to ${Math.max(...shares)}`);
});

test('no window is smaller than it may be, and whole images stay as they are', () => {
  for (let seed = 0; seed < 100; seed++) {
    const data = cropImages(image(), 0.9, seed).data as Float32Array;
    const [down, right] = [
      data[3 * WIDTH + 4]! - data[2 * WIDTH + 4]!,
      (data[2 * WIDTH + 4]! - data[2 * WIDTH + 3]!) / 10,
    ];
    assert.ok(down * right > 0.9 - 1e-4, `seed ${seed}: ${down * right}`);
    assert.deepEqual(cropImages(image(), 1, seed), image());
  }
});

test('the same seed takes the same windows, another one others', () => {
  assert.deepEqual(cropImages(image(), 0.5, 3), cropImages(image(), 0.5, 3));
  assert.notDeepEqual(cropImages(image(), 0.5, 3), cropImages(image(), 0.5, 4));
});
