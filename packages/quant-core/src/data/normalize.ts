import { type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';
import { castTensor } from './cast.js';
import { invalid, perChannel } from './preprocess-check.js';
import { changesValues } from './preprocess-target.js';

/** float32 values of all 256 bytes for each channel: `(value * scale - mean) / std`, rounded once. */
export function byteTables(preprocess: Preprocess, channels: number): Float32Array[] {
  const mean = perChannel(preprocess.mean, 0, channels);
  const std = perChannel(preprocess.std, 1, channels);
  const scale = preprocess.scale ?? 1;
  return mean.map((m, c) => Float32Array.from({ length: 256 }, (_, value) => (value * scale - m) / std[c]!));
}

/**
 * Turns interleaved bytes of one image into the model's layout.
 * @param pixels [height, width, channels]
 * @param tables see {@link byteTables}; null keeps bytes
 * @param target where the image goes, height * width * channels values
 */
export function layOut(
  pixels: Uint8Array,
  channels: number,
  layout: 'nchw' | 'nhwc',
  tables: readonly Float32Array[] | null,
  target: Float32Array | Uint8Array,
): void {
  const area = pixels.length / channels;
  for (let c = 0; c < channels; c++) {
    const table = tables?.[c];
    const [start, step] = layout === 'nchw' ? [c * area, 1] : [c, channels];
    for (let i = 0, from = c, to = start; i < area; i++, from += channels, to += step) {
      target[to] = table === undefined ? pixels[from]! : table[pixels[from]!]!;
    }
  }
}

/** The channels of an array: dimension 1 of NCHW, the last of NHWC; the only dimension of a vector. Dimension 0 counts samples. */
function channelAxis(shape: readonly number[], layout: 'nchw' | 'nhwc'): number {
  if (layout === 'nhwc') return shape.length - 1;
  return Math.max(1, shape.length - 3);
}

/**
 * Checks that the per-channel settings fit an array.
 * @throws TritforgeError PREPROCESS_INVALID
 */
export function checkArrayChannels(array: string, shape: readonly number[], preprocess: Preprocess): void {
  const channels = shape[channelAxis(shape, preprocess.layout ?? 'nchw')] ?? 1;
  for (const field of ['mean', 'std'] as const) {
    const value = preprocess[field];
    if (Array.isArray(value) && value.length !== 1 && value.length !== channels) {
      throw invalid(
        field,
        `has ${value.length} numbers; array '${array}' [${shape.join(', ')}] has ${channels} channels`,
        'Give one number, or one per channel, and the layout that the array is stored in.',
      );
    }
  }
}

/**
 * Applies scale, mean and std to samples stored in the model's layout; the same tensor when there are none.
 * @throws TritforgeError DATASET_VALUES_INVALID when the result is not finite
 */
export function normalizeArray(array: string, tensor: HostTensor, preprocess: Preprocess): HostTensor {
  if (!changesValues(preprocess)) return tensor;
  const axis = channelAxis(tensor.shape, preprocess.layout ?? 'nchw');
  const channels = tensor.shape[axis] ?? 1;
  const inner = tensor.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const mean = perChannel(preprocess.mean, 0, channels);
  const std = perChannel(preprocess.std, 1, channels);
  const scale = preprocess.scale ?? 1;
  const source = castTensor(tensor, 'float64', array).data as Float64Array;
  const data = new Float32Array(source.length);
  for (let i = 0; i < data.length; i++) {
    const c = Math.floor(i / inner) % channels;
    data[i] = (source[i]! * scale - mean[c]!) / std[c]!;
    if (!Number.isFinite(data[i])) {
      throw new TritforgeError(
        'DATASET_VALUES_INVALID',
        `array '${array}' has ${source[i]}, which preprocessing turns into ${data[i]}`,
        {
          field: array,
        },
      );
    }
  }
  return { dtype: 'float32', shape: tensor.shape, data };
}
