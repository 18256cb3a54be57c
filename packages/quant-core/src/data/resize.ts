/**
 * Resizing of bytes exactly as Pillow (and so the usual evaluation transforms) does it: separable filters that widen
 * when shrinking, pixel centres at half coordinates, 22-bit fixed-point weights, rounding after each pass, columns
 * before rows. The resizer of the image library places centres otherwise when it enlarges.
 */

/** A filter kernel. `linear` is Pillow's BILINEAR, `cubic` its BICUBIC. */
export type ResizeKernel = 'nearest' | 'linear' | 'cubic' | 'lanczos3';

const PRECISION_BITS = 22;
const CUBIC_A = -0.5;

const FILTERS: Record<Exclude<ResizeKernel, 'nearest'>, { support: number; weight: (x: number) => number }> = {
  linear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  cubic: { support: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos3: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function cubic(x: number): number {
  if (x < 1) return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC_A : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** For each place of the output: the first place of the input that counts and the weights from there on. */
interface Taps {
  readonly starts: Int32Array;
  readonly weights: readonly Int32Array[];
}

function tapsOf(from: number, to: number, kernel: ResizeKernel): Taps {
  const scale = from / to;
  const starts = new Int32Array(to);
  const weights: Int32Array[] = [];
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    if (kernel === 'nearest') {
      starts[i] = Math.min(from - 1, Math.floor(centre));
      weights.push(Int32Array.of(1 << PRECISION_BITS));
      continue;
    }
    const { support, weight } = FILTERS[kernel];
    const width = Math.max(1, scale);
    const start = Math.max(0, Math.floor(centre - support * width + 0.5));
    const end = Math.min(from, Math.floor(centre + support * width + 0.5));
    const raw = Float64Array.from({ length: end - start }, (_, k) => weight((k + start - centre + 0.5) / width));
    const sum = raw.reduce((total, value) => total + value, 0);
    starts[i] = start;
    weights.push(Int32Array.from(raw, (value) => roundAwayFromZero((value / sum) * 2 ** PRECISION_BITS)));
  }
  return { starts, weights };
}

function roundAwayFromZero(value: number): number {
  return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
}

/**
 * Resizes one axis of `[outer, from, inner]` bytes.
 */
function resizeAxis(
  bytes: Uint8Array,
  outer: number,
  from: number,
  to: number,
  inner: number,
  kernel: ResizeKernel,
): Uint8Array {
  if (from === to) return bytes;
  const { starts, weights } = tapsOf(from, to, kernel);
  const result = new Uint8ClampedArray(outer * to * inner);
  const half = 1 << (PRECISION_BITS - 1);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < to; i++) {
      const taps = weights[i]!;
      const source = (o * from + starts[i]!) * inner;
      const target = (o * to + i) * inner;
      for (let c = 0; c < inner; c++) {
        let sum = half;
        for (let k = 0; k < taps.length; k++) sum += bytes[source + k * inner + c]! * taps[k]!;
        result[target + c] = sum >> PRECISION_BITS;
      }
    }
  }
  return new Uint8Array(result.buffer);
}

/**
 * Resizes interleaved pixels.
 * @param pixels [height, width, channels]
 * @returns [target.height, target.width, channels]; the same array when the size stays
 */
export function resizePixels(
  pixels: Uint8Array,
  size: { readonly width: number; readonly height: number },
  target: { readonly width: number; readonly height: number },
  kernel: ResizeKernel,
): Uint8Array {
  const channels = pixels.length / (size.width * size.height);
  const columns = resizeAxis(pixels, size.height, size.width, target.width, channels, kernel);
  return resizeAxis(columns, 1, size.height, target.height, target.width * channels, kernel);
}

/** Cuts `target` from the centre; offsets are floor((side - crop) / 2). */
export function cropCentre(
  pixels: Uint8Array,
  size: { readonly width: number; readonly height: number },
  target: { readonly width: number; readonly height: number },
): Uint8Array {
  if (size.width === target.width && size.height === target.height) return pixels;
  const channels = pixels.length / (size.width * size.height);
  const left = Math.floor((size.width - target.width) / 2);
  const top = Math.floor((size.height - target.height) / 2);
  const rowBytes = target.width * channels;
  const result = new Uint8Array(target.height * rowBytes);
  for (let y = 0; y < target.height; y++) {
    const start = ((top + y) * size.width + left) * channels;
    result.set(pixels.subarray(start, start + rowBytes), y * rowBytes);
  }
  return result;
}
