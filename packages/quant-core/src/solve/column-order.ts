/**
 * Between weight tensors and the columns that solvers work on.
 *
 *   tensor [OC, IC, taps]:  oc·K + ic·taps + tap        columns [OC, K]:  oc·K + tap·IC + ic
 *
 * A group of N neighbouring input channels at one kernel position is a contiguous range of columns. Groups are counted
 * in the same order: tap·G + g, while group codes of a tensor are in the order g·taps + tap.
 */
import type { WeightLayout } from '../fgq/grouping.js';

/** Copies weights into rows of columns, float64 [OC, K]. */
export function toColumns(weights: Float32Array, layout: WeightLayout): Float64Array {
  const columns = new Float64Array(weights.length);
  const place = columnPlaces(layout);
  const perChannel = place.length;
  for (let start = 0; start < weights.length; start += perChannel) {
    for (let i = 0; i < perChannel; i++) columns[start + place[i]!] = weights[start + i]!;
  }
  return columns;
}

/** The reverse of {@link toColumns}, rounded to float32. */
export function floatsInTensorOrder(columns: Float64Array, layout: WeightLayout): Float32Array {
  const weights = new Float32Array(columns.length);
  const place = columnPlaces(layout);
  const perChannel = place.length;
  for (let start = 0; start < weights.length; start += perChannel) {
    for (let i = 0; i < perChannel; i++) weights[start + i] = columns[start + place[i]!]!;
  }
  return weights;
}

/** Where weight ic·taps + tap of an output channel is among its columns, [K]. */
export function columnPlaces({ inputChannels, taps }: WeightLayout): Int32Array {
  return Int32Array.from({ length: inputChannels * taps }, (_, i) => (i % taps) * inputChannels + Math.floor(i / taps));
}

/** The column where each group starts, and K at the end: [taps·G + 1]. */
export function groupStarts({ inputChannels, taps }: WeightLayout, groupSize: number): Int32Array {
  const starts: number[] = [];
  for (let tap = 0; tap < taps; tap++) {
    for (let ic = 0; ic < inputChannels; ic += groupSize) starts.push(tap * inputChannels + ic);
  }
  return Int32Array.of(...starts, inputChannels * taps);
}

/** Where the group tap·G + g of columns is among the group codes of an output channel, [taps·G]. */
export function groupPlaces({ inputChannels, taps }: WeightLayout, groupSize: number): Int32Array {
  const alongInputs = Math.ceil(inputChannels / groupSize);
  return Int32Array.from(
    { length: alongInputs * taps },
    (_, j) => (j % alongInputs) * taps + Math.floor(j / alongInputs),
  );
}
