import type { DatasetSummary, Preprocess } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';

/** Consecutive samples, preprocessed. `planFeeds` and `feedsOf` turn them into what a model run takes. */
export interface Batch {
  /** Tensors by array name; dimension 0 counts the samples. The names are those of `summary.arrays`. */
  readonly inputs: ReadonlyMap<string, HostTensor>;
  /** One label per sample (or one row of labels), when the dataset has them. dtype int64 or float32; dimension 0 counts the samples. */
  readonly labels: HostTensor | null;
  /** Samples in this batch. */
  readonly count: number;
}

/** An opened dataset. Samples are decoded as they are asked for; only a batch at a time is in memory. */
export interface Dataset {
  readonly summary: DatasetSummary;
  /** The description that the samples are preprocessed with; null leaves arrays as they are stored. */
  readonly preprocess: Preprocess | null;
  readonly sampleCount: number;
  /**
   * Iterates over samples in their stored order.
   * @param options.batchSize samples per batch; the last batch may be shorter
   * @param options.indices which samples, in this order; all when left out
   * @throws TritforgeError DATASET_VALUES_INVALID for NaN and infinity, DATASET_IMAGE_INVALID for a damaged image,
   *   DATASET_CORRUPT for a damaged archive
   */
  batches(options: { batchSize: number; indices?: readonly number[] }): AsyncIterable<Batch>;
  /** Closes the file and removes scratch files. */
  close(): Promise<void>;
}

/** What part of `total` samples the batches of a call cover, checked. Shared by every implementation of Dataset. */
export function* batchIndices(
  total: number,
  options: { batchSize: number; indices?: readonly number[] },
): Generator<readonly number[]> {
  const { batchSize, indices } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) throw new RangeError(`batchSize is ${batchSize}`);
  const bad = indices?.find((index) => !Number.isInteger(index) || index < 0 || index >= total);
  if (bad !== undefined) throw new RangeError(`sample ${bad} of a dataset of ${total}`);
  const count = indices?.length ?? total;
  for (let start = 0; start < count; start += batchSize) {
    const length = Math.min(batchSize, count - start);
    yield indices?.slice(start, start + length) ?? Array.from({ length }, (_, i) => start + i);
  }
}
