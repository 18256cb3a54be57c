import type { HostTensor } from '../runtime/runtime.js';
import { mulberry32 } from '../seeded-random.js';
import type { Augmentation } from './messages.js';

/**
 * Shifts every image of a batch by up to `maxShift` pixels along both axes, repeating its edge, and mirrors every second one.
 * @param tensor [N, C, H, W], float32; of any shape where there is nothing to do
 */
export function augment(tensor: HostTensor, { maxShift, mirrors }: Augmentation, seed: number): HostTensor {
  if (maxShift === 0 && !mirrors) return tensor;
  const [images, channels, height, width] = tensor.shape as [number, number, number, number];
  const source = tensor.data as Float32Array;
  const data = new Float32Array(source.length);
  const next = mulberry32(seed);
  const shift = () => Math.floor(next() * (2 * maxShift + 1)) - maxShift;
  const within = (index: number, size: number) => Math.min(Math.max(index, 0), size - 1);
  for (let image = 0; image < images; image++) {
    const [down, right, isMirrored] = [shift(), shift(), mirrors && next() < 0.5];
    const columns = Int32Array.from({ length: width }, (_, x) =>
      within((isMirrored ? width - 1 - x : x) + right, width),
    );
    for (let plane = image * channels; plane < (image + 1) * channels; plane++) {
      for (let y = 0; y < height; y++) {
        const [to, from] = [(plane * height + y) * width, (plane * height + within(y + down, height)) * width];
        for (let x = 0; x < width; x++) data[to + x] = source[from + columns[x]!]!;
      }
    }
  }
  return { ...tensor, data };
}
