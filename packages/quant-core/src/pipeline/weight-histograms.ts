import type { LayerReport, WeightHistogram } from '@tritforge/contracts';
import { readFloats, type Tensor } from '../ir/index.js';
import type { QuantizedWeight } from '../layers/encoded-weight.js';

/** Histograms are for reading: a few tell what is wrong, one per layer would be most of the report. */
const HISTOGRAM_COUNT = 6;
/** Odd, so that zero is in the middle of a bin. */
const BIN_COUNT = 63;

/** A quantized layer as the report has it, and its weights. */
export interface HistogramSource {
  readonly report: Pick<LayerReport, 'outputSqnrDb' | 'weightError'>;
  readonly original: Tensor;
  readonly quantized: Pick<QuantizedWeight, 'decoded'>;
}

/**
 * Histograms of the layers whose outputs suffered most, or, where no outputs were measured, of those whose weights did.
 * Layers that share a weight share one. The floats of one layer are in memory at a time.
 */
export async function worstWeightHistograms(
  sources: readonly HistogramSource[],
): Promise<ReadonlyMap<Tensor, WeightHistogram>> {
  const histograms = new Map<Tensor, WeightHistogram>();
  for (const { original, quantized } of worstFirst(sources)) {
    if (histograms.size === HISTOGRAM_COUNT) break;
    if (histograms.has(original)) continue;
    histograms.set(original, weightHistogram(await readFloats(original), await readFloats(quantized.decoded)));
  }
  return histograms;
}

function worstFirst(sources: readonly HistogramSource[]): HistogramSource[] {
  const measured = sources.filter(({ report }) => report.outputSqnrDb !== null);
  if (measured.length > 0) return measured.sort((a, b) => a.report.outputSqnrDb! - b.report.outputSqnrDb!);
  return [...sources].sort((a, b) => (b.report.weightError ?? 0) - (a.report.weightError ?? 0));
}

/** Counts the weights of a layer before and after quantization, in any order, in the same bins. */
export function weightHistogram(original: Float32Array, quantized: Float32Array): WeightHistogram {
  const limit = Math.max(largestMagnitude(original), largestMagnitude(quantized));
  return { limit, original: countBins(original, limit), quantized: countBins(quantized, limit) };
}

function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

function countBins(values: Float32Array, limit: number): number[] {
  const counts = new Array<number>(BIN_COUNT).fill(0);
  const binsPerUnit = limit === 0 ? 0 : BIN_COUNT / (2 * limit);
  for (const value of values) {
    const bin = Math.min(BIN_COUNT - 1, Math.floor(value * binsPerUnit + BIN_COUNT / 2));
    counts[bin] = counts[bin]! + 1;
  }
  return counts;
}
