/** Log-mel spectra as anomaly detection takes them: windows of 1024 samples at 16 kHz, 128 bands on the Slaney scale, dB. */

export const FRAME_STEP = 512;
export const MEL_BANDS = 128;
const WINDOW = 1024;
const BINS = WINDOW / 2 + 1;
const SAMPLE_RATE_HZ = 16000;
/** Added before the logarithm, so that silence has one. */
const FLOOR = 2 ** -52;

/** @returns frames of {@link MEL_BANDS} values, one every {@link FRAME_STEP} samples */
export function logMel(samples: Float32Array): Float32Array {
  const frames = Math.floor((samples.length - WINDOW) / FRAME_STEP) + 1;
  const filters = melFilters();
  const hann = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  const result = new Float32Array(frames * MEL_BANDS);
  for (let frame = 0; frame < frames; frame++) {
    const window = hann.map((weight, i) => weight * samples[frame * FRAME_STEP + i]!);
    const power = powerSpectrum(window);
    for (const [band, filter] of filters.entries()) {
      const energy = filter.reduce((sum, weight, bin) => sum + weight * power[bin]!, 0);
      result[frame * MEL_BANDS + band] = 10 * Math.log10(energy + FLOOR);
    }
  }
  return result;
}

/** Squared magnitudes of the first half of the Fourier transform, radix 2. */
function powerSpectrum(window: Float64Array): Float64Array {
  const real = Float64Array.from(window, (_, i) => window[reverseBits(i)]!);
  const imaginary = new Float64Array(WINDOW);
  for (let half = 1; half < WINDOW; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [cosine, sine] = [Math.cos((Math.PI * k) / half), -Math.sin((Math.PI * k) / half)];
      for (let i = k; i < WINDOW; i += 2 * half) {
        const j = i + half;
        const re = real[j]! * cosine - imaginary[j]! * sine;
        const im = real[j]! * sine + imaginary[j]! * cosine;
        real[j] = real[i]! - re;
        imaginary[j] = imaginary[i]! - im;
        real[i]! += re;
        imaginary[i]! += im;
      }
    }
  }
  return Float64Array.from({ length: BINS }, (_, i) => real[i]! ** 2 + imaginary[i]! ** 2);
}

function reverseBits(index: number): number {
  let reversed = 0;
  for (let bit = 1; bit < WINDOW; bit *= 2) reversed = reversed * 2 + (index & bit ? 1 : 0);
  return reversed;
}

/** Slaney's scale: linear below 1 kHz, logarithmic above. */
function melToHertz(mel: number): number {
  return mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp((Math.log(6.4) / 27) * (mel - 15));
}

/** Triangles of equal area over the bins, one per band. */
function melFilters(): Float64Array[] {
  const highest = 15 + (27 * Math.log(SAMPLE_RATE_HZ / 2 / 1000)) / Math.log(6.4);
  const edges = Array.from({ length: MEL_BANDS + 2 }, (_, i) => melToHertz((highest * i) / (MEL_BANDS + 1)));
  return Array.from({ length: MEL_BANDS }, (_, band) => {
    const [low, centre, high] = [edges[band]!, edges[band + 1]!, edges[band + 2]!];
    return Float64Array.from({ length: BINS }, (_, bin) => {
      const hertz = (bin * SAMPLE_RATE_HZ) / WINDOW;
      const height = Math.max(0, Math.min((hertz - low) / (centre - low), (high - hertz) / (high - centre)));
      return (2 * height) / (high - low);
    });
  });
}
