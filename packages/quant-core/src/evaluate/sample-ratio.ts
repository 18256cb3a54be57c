import { TritforgeError } from '@tritforge/contracts';

/** A ratio of sums over samples, r = Σ a_i / Σ n_i, such as hits per position or loss per token. */
export class SampleRatio {
  readonly #amounts: number[] = [];
  readonly #sizes: number[] = [];
  #amount = 0;
  #size = 0;

  /** Adds one sample's amount a_i and size n_i. */
  add(amount: number, size: number): void {
    this.#amounts.push(amount);
    this.#sizes.push(size);
    this.#amount += amount;
    this.#size += size;
  }

  /** @throws TritforgeError DATASET_LABELS_INVALID when the sizes sum to 0: no sample had anything to score */
  ratio(): number {
    if (this.#size === 0) {
      throw new TritforgeError(
        'DATASET_LABELS_INVALID',
        'no sample has a label of 0 or more, so there is nothing to score',
        {
          field: 'labels',
        },
      );
    }
    return this.#amount / this.#size;
  }

  /**
   * One score per sample, r + (a_i − r·n_i) / n̄: their mean is r and the standard error of their mean is that of the
   * ratio to first order (Cochran, Sampling Techniques, §2.11). With all n_i = 1 they are the a_i.
   */
  scores(): Float64Array {
    const ratio = this.ratio();
    const averageSize = this.#size / this.#sizes.length;
    return Float64Array.from(
      this.#amounts,
      (amount, i) => ratio + (amount - ratio * (this.#sizes[i] as number)) / averageSize,
    );
  }
}
