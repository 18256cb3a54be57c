import type { DatasetSummary } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';

/** Consecutive samples, ready for the model. */
export interface Batch {
  /** Tensors by model input name; dimension 0 counts the samples. */
  readonly inputs: ReadonlyMap<string, HostTensor>;
  /** One label per sample (or one row of labels), when the dataset has them. dtype int64 or float32; dimension 0 counts the samples. */
  readonly labels: HostTensor | null;
  /** Samples in this batch. */
  readonly count: number;
}

/** An opened dataset. Samples are decoded as they are asked for; only a batch at a time is in memory. */
export interface Dataset {
  readonly summary: DatasetSummary;
  readonly sampleCount: number;
  /**
   * Iterates over samples in their stored order.
   * @param options.batchSize samples per batch; the last batch may be shorter
   * @param options.indices which samples, in this order; all when left out
   */
  batches(options: { batchSize: number; indices?: readonly number[] }): AsyncIterable<Batch>;
  close(): Promise<void>;
}
