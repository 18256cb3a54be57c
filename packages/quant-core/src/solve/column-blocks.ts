/** Formats with one scale per output channel: columns are searched in blocks, as those of a group are in other formats. */
import type { InputMoments } from './input-moments.js';
import { factorMoments, type LayerMetric } from './layer-metric.js';

/** Columns that are searched together: all share one scale, so that the number is a matter of speed alone. */
const BLOCK_COLUMNS = 32;

/** The column where each block starts, and K at the end. */
export function blockStarts(columns: number): Int32Array {
  const blocks = Math.ceil(columns / BLOCK_COLUMNS);
  return Int32Array.from({ length: blocks + 1 }, (_, i) => Math.min(i * BLOCK_COLUMNS, columns));
}

/**
 * What all output channels of a layer have in common when they are quantized with one scale each: parts of a layer can be solved
 * with it one by one, with the same result.
 *
 * @throws RangeError when a moment is not finite or the damping is negative
 */
export function channelMetric(moments: InputMoments, damping?: number): LayerMetric {
  return factorMoments(moments, blockStarts(moments.columns), damping);
}
