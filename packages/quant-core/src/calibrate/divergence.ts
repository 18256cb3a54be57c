/**
 * How much a quantization blurs the distribution of a value: the Kullback-Leibler divergence D(P ‖ Q) over the bins of its
 * histogram, in nats, as in the calibrator of TensorRT (Migacz, 8-bit inference with TensorRT, 2017).
 *
 *   P   the counts of the bins that the levels cover; what lies beyond is added to the outermost of them
 *   Q   the counts without what lies beyond, those of a level spread evenly over its occupied bins
 *
 * A narrow range loses by the pile at its ends, a wide one by levels that lump different bins together. Two differences to the
 * original: both ends are free, and exact zeros, which every quantization keeps, are left out. As there, a level is at least
 * one bin wide, for below that P and Q are the same whatever the range.
 */
import type { Histogram } from './histogram.js';
import { middlesOf } from './squared-error.js';
import type { Affine, MaxCode } from './value-range.js';

/** Sums over the occupied bins before each index, so that those of a level are differences. */
interface Sums {
  readonly values: Float64Array;
  readonly counts: Float64Array;
  /** Of n·ln n. */
  readonly entropies: Float64Array;
}

/**
 * The divergence of a quantization as a function of it; infinite where it has no meaning.
 * @param nonNegative values below zero, which a ReLU makes zero, are left out too
 */
export function divergence(histogram: Histogram, nonNegative: boolean, maxCode: MaxCode): (affine: Affine) => number {
  const sums = sumsOf(histogram, nonNegative);
  return (affine) =>
    affine.scale < histogram.binWidth ? Number.POSITIVE_INFINITY : divergenceOf(sums, affine, maxCode);
}

function sumsOf(histogram: Histogram, nonNegative: boolean): Sums {
  const middles = middlesOf(histogram);
  const isCounted = (value: number) => (nonNegative ? value > 0 : value !== 0);
  const occupied = [...middles.values.keys()].filter((i) => isCounted(middles.values[i]!));
  const values = Float64Array.from(occupied, (i) => middles.values[i]!);
  const counts = new Float64Array(occupied.length + 1);
  const entropies = new Float64Array(occupied.length + 1);
  for (const [at, i] of occupied.entries()) {
    const count = middles.counts[i]!;
    counts[at + 1] = counts[at]! + count;
    entropies[at + 1] = entropies[at]! + timesLog(count);
  }
  return { values, counts, entropies };
}

function divergenceOf({ values, counts, entropies }: Sums, { scale, zeroPoint }: Affine, maxCode: MaxCode): number {
  const edge = (level: number) => firstFrom(values, (level - zeroPoint - 0.5) * scale);
  const first = edge(0);
  const end = edge(maxCode + 1);
  const inside = counts[end]! - counts[first]!;
  const total = counts.at(-1)!;
  // A single bin that takes in everything has the distribution of its level, and says nothing.
  if (inside === 0 || (end - first === 1 && inside < total)) return Number.POSITIVE_INFINITY;
  // Σ p ln p − Σ p ln q, both times the number of all values; ln q is ln(N / m) − ln inside within a level of N values in m bins.
  let sum = entropies[end]! - entropies[first]!;
  let logOfFirst = 0;
  let logOfLast = 0;
  for (let level = 0, from = first; from < end; level++) {
    const to = level === maxCode ? end : edge(level + 1);
    const count = counts[to]! - counts[from]!;
    if (count === 0) continue;
    const log = Math.log(count / (to - from));
    sum -= count * log;
    if (from === first) logOfFirst = log;
    logOfLast = log;
    from = to;
  }
  const [below, above] = [counts[first]!, total - counts[end]!];
  sum += piled(counts[first + 1]! - below, below, logOfFirst);
  sum += piled(counts[end]! - counts[end - 1]!, above, logOfLast);
  return sum / total + Math.log(inside / total);
}

/** What the sum gains where a bin takes in what lies beyond it. */
function piled(count: number, beyond: number, logOfLevel: number): number {
  return timesLog(count + beyond) - timesLog(count) - beyond * logOfLevel;
}

function timesLog(count: number): number {
  return count === 0 ? 0 : count * Math.log(count);
}

/** Index of the first value that is not below the bound. */
function firstFrom(values: Float64Array, bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
