/**
 * Between weight tensors and the columns that solvers work on.
 *
 *   tensor [OC, IC, taps]:  oc·K + ic·taps + tap        columns [OC, K]:  oc·K + tap·IC + ic
 */
import type { WeightLayout } from '../fgq/grouping.js';

/** Copies the weights of one output channel into a row of columns. */
export function columnsOfChannel(
  weights: Float32Array | Int8Array,
  { inputChannels, taps }: WeightLayout,
  channel: number,
  row: Float64Array,
): void {
  const start = channel * inputChannels * taps;
  for (let tap = 0, at = 0; tap < taps; tap++) {
    for (let ic = 0; ic < inputChannels; ic++, at++) row[at] = weights[start + ic * taps + tap]!;
  }
}
