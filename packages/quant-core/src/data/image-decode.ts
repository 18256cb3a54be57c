/**
 * Images to bytes. Only JPEG and PNG are passed on to the decoder. As in evaluation pipelines of the training frameworks,
 * embedded orientation and colour profiles are ignored, transparency is dropped, centre crops start at
 * floor((side - crop) / 2), and the long side after a resize to a short side is floor(short * long / shorter).
 */
import { type Preprocess, TritforgeError } from '@tritforge/contracts';
import sharp from 'sharp';
import { tooLarge } from './archive.js';
import type { DatasetLimits } from './limits.js';
import { cropCentre, resizePixels } from './resize.js';

sharp.concurrency(1);
sharp.cache(false);

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

const JPEG = Buffer.from([0xff, 0xd8, 0xff]);
const PNG = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/**
 * The size of an image from its header.
 * @throws TritforgeError DATASET_IMAGE_INVALID, DATASET_TOO_LARGE
 */
export async function readImageSize(name: string, bytes: Uint8Array, limits: DatasetLimits): Promise<ImageSize> {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PNG.length));
  if (!header.subarray(0, JPEG.length).equals(JPEG) && !header.equals(PNG)) {
    throw imageError(name, 'is neither JPEG nor PNG', 'Pack images and one csv of labels, nothing else.');
  }
  const { width, height } = await decoding(name, () => sharp(bytes, { limitInputPixels: false }).metadata());
  if (width * height > limits.maxImagePixels) {
    throw tooLarge(`image '${name}' has ${width} x ${height} pixels; ${limits.maxImagePixels} pixels are allowed`);
  }
  return { width, height };
}

/** The size after `resize`. */
function resizedSize({ width, height }: ImageSize, { resize }: Preprocess): ImageSize {
  if (resize === undefined) return { width, height };
  if (resize.shortSide === undefined) return { width: resize.width!, height: resize.height! };
  const side = resize.shortSide;
  return width <= height
    ? { width: side, height: Math.floor((side * height) / width) }
    : { width: Math.floor((side * width) / height), height: side };
}

function cropSize({ centerCrop }: Preprocess): ImageSize | null {
  if (centerCrop === undefined) return null;
  return typeof centerCrop === 'number' ? { width: centerCrop, height: centerCrop } : centerCrop;
}

/**
 * The size after `resize` and `centerCrop`.
 * @throws TritforgeError DATASET_IMAGE_INVALID when the image is smaller than the crop, DATASET_TOO_LARGE
 */
export function preprocessedSize(
  name: string,
  size: ImageSize,
  preprocess: Preprocess,
  limits: DatasetLimits,
): ImageSize {
  const resized = resizedSize(size, preprocess);
  if (resized.width * resized.height > limits.maxImagePixels) {
    throw tooLarge(`image '${name}' is resized to ${resized.width} x ${resized.height} pixels`);
  }
  const crop = cropSize(preprocess);
  if (crop === null) return resized;
  if (crop.width > resized.width || crop.height > resized.height) {
    const have = `${resized.width} x ${resized.height}`;
    throw imageError(
      name,
      `has ${have} pixels, fewer than the centre crop of ${crop.width} x ${crop.height}`,
      'Add preprocess.resize, or make the crop smaller.',
    );
  }
  return crop;
}

/**
 * Decodes, resizes, crops and reorders.
 * @returns bytes [height, width, channels] of {@link preprocessedSize}
 * @throws TritforgeError DATASET_IMAGE_INVALID naming the member, DATASET_TOO_LARGE
 */
export async function decodeImage(
  name: string,
  bytes: Uint8Array,
  preprocess: Preprocess,
  limits: DatasetLimits,
): Promise<ImageSize & { pixels: Uint8Array }> {
  const size = await readImageSize(name, bytes, limits);
  const resized = resizedSize(size, preprocess);
  const target = preprocessedSize(name, size, preprocess, limits);
  const decoder = sharp(bytes, {
    limitInputPixels: limits.maxImagePixels,
    failOn: 'warning',
    sequentialRead: true,
    ignoreIcc: true,
    autoOrient: false,
  });
  const rgb = await decoding(name, () =>
    decoder.toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' }).toBuffer(),
  );
  const scaled = resizePixels(rgb, size, resized, preprocess.resize?.kernel ?? 'linear');
  return { ...target, pixels: reorder(cropCentre(scaled, resized, target), preprocess.channels ?? 'rgb') };
}

/** From RGB; luma by ITU-R 601 in 16-bit fixed point, as Pillow computes it. */
function reorder(rgb: Uint8Array, channels: 'rgb' | 'bgr' | 'gray'): Uint8Array {
  if (channels === 'rgb') return rgb;
  const pixels = rgb.length / 3;
  const result = new Uint8Array(channels === 'gray' ? pixels : rgb.length);
  for (let i = 0; i < pixels; i++) {
    const [r, g, b] = [rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!];
    if (channels === 'gray') result[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    else result.set([b, g, r], 3 * i);
  }
  return result;
}

async function decoding<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw imageError(
      name,
      `cannot be decoded: ${(error as Error).message.trim()}`,
      'Remove or repair the image.',
      error,
    );
  }
}

/** An error about an image of the archive. */
export function imageError(name: string, what: string, remediation: string, cause?: unknown): TritforgeError {
  return new TritforgeError('DATASET_IMAGE_INVALID', `image '${name}' ${what}`, { field: name, remediation, cause });
}
