/** Bins on each side of zero; between half of them and all are in use on the wider side. */
const SIDE_BINS = 4096;
const SIDE_BITS = 12;
/** Keeps the reciprocal of the bin width finite. */
const SMALLEST_EXPONENT = -1000;

/** Neighbouring intervals with the number of values in each. */
export interface Cells {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
  readonly counts: Float64Array;
}

/**
 * A histogram whose range grows as values arrive, so that one pass over the data is enough.
 *
 * Bins are aligned to zero and their width is a power of two, 2^e: bin i counts values in [i·2^e, (i+1)·2^e). When a
 * value lies outside, e grows and bins 2i and 2i+1 merge into bin i, which loses nothing but resolution. The final
 * width depends on the largest magnitude alone, so that the counts are those of a second pass with known limits,
 * whatever the order and the batches in which the values came. Exact zeros, of which a ReLU makes many, are counted
 * apart.
 */
export class Histogram {
  /** Smallest value; +Infinity before the first. */
  min = Number.POSITIVE_INFINITY;
  /** Largest value; -Infinity before the first. */
  max = Number.NEGATIVE_INFINITY;
  /** Values seen, zeros included. */
  count = 0;
  /** Values that are exactly zero. */
  zeros = 0;
  #exponent = SMALLEST_EXPONENT;
  #counts: Float64Array | null = null;

  /**
   * Adds values.
   * @returns the first value that is NaN or infinite, and then nothing is added; else null
   */
  add(values: ArrayLike<number>): number | null {
    const bad = this.#extend(values);
    if (bad !== null) return bad;
    this.count += values.length;
    const counts = this.#fit();
    if (counts === null) this.zeros += values.length;
    else this.#tally(values, counts);
    return null;
  }

  /** Width of a bin. */
  get binWidth(): number {
    return 2 ** this.#exponent;
  }

  /** The occupied bins in rising order, their edges drawn in to what was seen. Exact zeros are a cell of no width. */
  cells(): Cells {
    const counts = this.#counts ?? new Float64Array(2 * SIDE_BINS);
    const cells: { lower: number; upper: number; count: number }[] = [];
    for (let bin = 0; bin < counts.length; bin++) {
      if (bin === SIDE_BINS && this.zeros > 0) cells.push({ lower: 0, upper: 0, count: this.zeros });
      const count = counts[bin] as number;
      if (count === 0) continue;
      const lower = (bin - SIDE_BINS) * this.binWidth;
      cells.push({ lower: Math.max(lower, this.min), upper: Math.min(lower + this.binWidth, this.max), count });
    }
    return {
      lower: Float64Array.from(cells, (cell) => cell.lower),
      upper: Float64Array.from(cells, (cell) => cell.upper),
      counts: Float64Array.from(cells, (cell) => cell.count),
    };
  }

  #extend(values: ArrayLike<number>): number | null {
    let { min, max } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (!(Math.abs(value) <= Number.MAX_VALUE)) return value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.min = min;
    this.max = max;
    return null;
  }

  /** Widens the bins until every value fits; null while all values are zero. */
  #fit(): Float64Array | null {
    const magnitude = Math.max(-this.min, this.max);
    if (!(magnitude > 0)) return null;
    const exponent = Math.max(SMALLEST_EXPONENT, Math.floor(Math.log2(magnitude)) + 1 - SIDE_BITS);
    if (this.#counts === null) this.#counts = new Float64Array(2 * SIDE_BINS);
    else if (exponent > this.#exponent) this.#counts = merge(this.#counts, exponent - this.#exponent);
    this.#exponent = exponent;
    return this.#counts;
  }

  #tally(values: ArrayLike<number>, counts: Float64Array): void {
    const inverseWidth = 2 ** -this.#exponent;
    let zeros = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (value === 0) zeros++;
      else {
        const bin = Math.floor(value * inverseWidth) + SIDE_BINS;
        counts[bin] = (counts[bin] as number) + 1;
      }
    }
    this.zeros += zeros;
  }
}

/** Counts for bins that are 2^doublings times as wide. */
function merge(counts: Float64Array, doublings: number): Float64Array {
  const merged = new Float64Array(counts.length);
  const factor = 2 ** doublings;
  for (let bin = 0; bin < counts.length; bin++) {
    const target = Math.floor((bin - SIDE_BINS) / factor) + SIDE_BINS;
    merged[target] = (merged[target] as number) + (counts[bin] as number);
  }
  return merged;
}
