import type { HostTensor } from '../runtime/runtime.js';
import { mulberry32 } from '../seeded-random.js';

/** Height over width of a window, at most, beside that of the image; at least its inverse. */
const MOST_ASPECT = 4 / 3;
const MOST_STRETCH = Math.sqrt(MOST_ASPECT);

/** Where along an axis each output element comes from: between two neighbours. */
interface Positions {
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** Of the second. */
  readonly share: Float32Array;
}

/**
 * Takes a random window out of every image of a batch and enlarges it to the size of the image, by bilinear interpolation between
 * centres of pixels.
 *
 * Source: Szegedy et al. 2015, §6.
 * @param tensor [N, C, H, W], float32
 * @param leastShare of the area that a window has, above 0; the share is uniform up to 1
 */
export function cropImages(tensor: HostTensor, leastShare: number, seed: number): HostTensor {
  const [images, channels, height, width] = tensor.shape as [number, number, number, number];
  const source = tensor.data as Float32Array;
  const data = new Float32Array(source.length);
  const next = mulberry32(seed);
  const area = height * width;
  for (let image = 0; image < images; image++) {
    const side = Math.sqrt(leastShare + (1 - leastShare) * next());
    // A window that would reach beyond the image is stretched less, so that its area stays.
    const stretch = Math.min(MOST_STRETCH, 1 / side) ** (2 * next() - 1);
    const rows = positions(height, side * stretch, next());
    const columns = positions(width, side / stretch, next());
    for (let plane = image * channels; plane < (image + 1) * channels; plane++)
      enlarge(source.subarray(plane * area, (plane + 1) * area), data.subarray(plane * area), rows, columns);
  }
  return { ...tensor, data };
}

/** @param at where the window is: 0 at the beginning, 1 at the end */
function positions(size: number, share: number, at: number): Positions {
  const start = at * size * (1 - share);
  const [first, second, shares] = [new Int32Array(size), new Int32Array(size), new Float32Array(size)];
  for (let i = 0; i < size; i++) {
    const from = Math.min(Math.max(start + (i + 0.5) * share - 0.5, 0), size - 1);
    first[i] = Math.floor(from);
    second[i] = Math.min(first[i]! + 1, size - 1);
    shares[i] = from - first[i]!;
  }
  return { first, second, share: shares };
}

function enlarge(source: Float32Array, target: Float32Array, rows: Positions, columns: Positions): void {
  const width = columns.first.length;
  for (let y = 0; y < rows.first.length; y++) {
    const [upper, lower, below] = [rows.first[y]! * width, rows.second[y]! * width, rows.share[y]!];
    for (let x = 0; x < width; x++) {
      const [left, right, share] = [columns.first[x]!, columns.second[x]!, columns.share[x]!];
      const above = source[upper + left]! * (1 - share) + source[upper + right]! * share;
      const under = source[lower + left]! * (1 - share) + source[lower + right]! * share;
      target[y * width + x] = above * (1 - below) + under * below;
    }
  }
}
