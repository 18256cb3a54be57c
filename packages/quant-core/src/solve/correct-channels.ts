/**
 * Matches each output channel of a quantized layer with the original network, to be folded into channel scales and bias.
 *
 *   y_q = ŵ·x + b      m = ŵ·μ + b      σ_q² = ŵᵀ H ŵ
 *   y'  = r (y_q − m) + m'              r = σ_f / σ_q,   m' = ν
 *
 * Without `variance` r is 1, without `mean` m' is m. Source: batch-norm re-estimation of arXiv 1701.08978, section 3.2,
 * here by moments instead of by another pass over the data.
 */
import { checkLayout, type WeightLayout } from '../fgq/grouping.js';
import { subtractProduct } from '../linalg/index.js';
import { toColumns } from './column-order.js';
import { checkMoments, type InputMoments } from './input-moments.js';

/** What is matched. */
export interface ChannelCorrection {
  readonly mean: boolean;
  readonly variance: boolean;
  /** Whether the moments are those about zero; see `momentsAboutZero`. */
  readonly isAboutZero?: boolean;
}

/** A channel whose outputs vary by less than this share of what they are is dead: its ratio says nothing. */
const DEAD_SHARE = 1e-10;
const SMALLEST_FACTOR = 0.5;
const LARGEST_FACTOR = 2;

/**
 * Finds the factor of the channel scales and the new bias of every output channel.
 *
 * @param decoded the quantized weights as numbers, [OC, IC, taps]
 * @param bias of the original layer, [OC]; null where it has none
 * @returns factors r, in 0.5…2, by which the channel scales are to be multiplied, and the bias that goes with them
 * @throws RangeError when the arguments do not fit each other
 */
export function correctChannels(
  decoded: Float32Array,
  layout: WeightLayout,
  moments: InputMoments,
  bias: Float32Array | null,
  correction: ChannelCorrection,
): { factors: Float32Array; bias: Float32Array } {
  checkLayout(decoded.length, layout);
  const { outputChannels } = layout;
  checkMoments(moments, layout);
  const factors = new Float32Array(outputChannels).fill(1);
  const corrected = new Float32Array(outputChannels);
  const rows = toColumns(decoded, layout);
  const ratios = correction.variance ? varianceRatios(rows, moments, correction.isAboutZero ?? false) : null;
  const { columns } = moments;
  for (let oc = 0; oc < outputChannels; oc++) {
    const inputPart = dot(rows.subarray(oc * columns, (oc + 1) * columns), moments.mean);
    factors[oc] = ratios?.[oc] ?? 1;
    const mean = correction.mean ? moments.outputMean[oc]! : inputPart + (bias?.[oc] ?? 0);
    corrected[oc] = mean - factors[oc]! * inputPart;
  }
  return { factors, bias: corrected };
}

/** Channels whose products with H lie in memory at a time. */
const CHUNK_CHANNELS = 64;

/** σ_f / σ_q of every channel, clamped; 1 for one that is dead in either network. @param rows ŵ, [OC, K] */
function varianceRatios(rows: Float64Array, moments: InputMoments, isAboutZero: boolean): number[] {
  const { second, columns, mean, outputVariance } = moments;
  // σ² = E[x²] − μ²
  const shift = isAboutZero ? mean : new Float64Array(columns);
  const ratios: number[] = [];
  for (let first = 0; first < outputVariance.length; first += CHUNK_CHANNELS) {
    const count = Math.min(CHUNK_CHANNELS, outputVariance.length - first);
    const negative = new Float64Array(count * columns);
    subtractProduct(
      count,
      columns,
      columns,
      { data: rows, start: first * columns, rowStride: columns, columnStride: 1 },
      { data: second, start: 0, rowStride: columns, columnStride: 1 },
      { data: negative, start: 0, rowStride: columns, columnStride: 1 },
    );
    for (let i = 0; i < count; i++) {
      const row = rows.subarray((first + i) * columns, (first + i + 1) * columns);
      const product = negative.subarray(i * columns, (i + 1) * columns);
      const quantized = -dot(row, product) - dot(row, shift) ** 2;
      const scale = row.reduce((sum, w, k) => sum + w * w * (second[k * columns + k]! - shift[k]! ** 2), 0);
      ratios.push(varianceRatio(quantized, outputVariance[first + i]!, scale));
    }
  }
  return ratios;
}

/** @param scale what is little besides which */
function varianceRatio(quantized: number, variance: number, scale: number): number {
  if (!(quantized > scale * DEAD_SHARE && variance > scale * DEAD_SHARE)) return 1;
  return Math.min(Math.max(Math.sqrt(variance / quantized), SMALLEST_FACTOR), LARGEST_FACTOR);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
