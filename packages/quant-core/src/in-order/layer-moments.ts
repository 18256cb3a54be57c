import type { Layer } from '../layers/layer.js';
import { collectMoments, type MomentsOptions, momentsByteLength, type RecordedOutputs } from '../moments/index.js';
import type { SampleValues } from '../prefix/index.js';
import type { InputMoments } from '../solve/index.js';

/** Windows of a layer's input that its moments are taken of. */
const MAX_ROWS = 40_000;
const FEWEST_ROWS = 8192;
const ROWS_PER_COLUMN = 256;
/** Layers whose moments would need more memory do without. */
const MOST_MOMENTS_BYTES = 3 * 2 ** 30;

/**
 * Moments of a layer's inputs, of as many windows as they need.
 * @param x the layer's input
 * @param y what its output is to be, or what was recorded of it
 * @returns one per convolution group; null where they would not fit in memory
 */
export async function layerMoments(
  layer: Layer,
  x: SampleValues,
  y: SampleValues | RecordedOutputs,
  options: Omit<MomentsOptions, 'maxRows'>,
): Promise<InputMoments[] | null> {
  if (momentsByteLength(layer) > MOST_MOMENTS_BYTES) return null;
  return collectMoments(layer, x, y, { ...options, maxRows: momentRows(layer) });
}

/** Windows that moments are taken of, at most. */
export function momentRows({ layout: { inputChannels, taps } }: Layer): number {
  return Math.min(MAX_ROWS, Math.max(ROWS_PER_COLUMN * inputChannels * taps, FEWEST_ROWS));
}
