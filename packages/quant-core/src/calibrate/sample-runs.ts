import { TritforgeError } from '@tritforge/contracts';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import { type FeedRun, feedsOf, sliceRows } from '../data/feeds.js';
import type { HostTensor } from '../runtime/runtime.js';

/** Samples that are read from the dataset together; runs of the model are smaller. */
const READ_AHEAD = 8;

/** One run of a model over consecutive samples. */
export interface SampleRun extends FeedRun {
  /** Labels of the samples of the run; dimension 0 counts them. */
  readonly labels: HostTensor | null;
}

/**
 * Takes samples through a model in runs of one sample, or of as many as the model's fixed batch dimension asks for.
 * Runs of one are as fast as larger ones but for the smallest models, and keep every result independent of a batch
 * size: matrix products over more rows round differently, and operators that quantize at run time take their range from
 * the whole batch.
 * @param indices which samples, in this order
 */
export async function* sampleRuns(
  dataset: Dataset,
  feedPlan: FeedPlan,
  indices: readonly number[],
): AsyncGenerator<SampleRun> {
  const runSamples = feedPlan.runSamples ?? 1;
  const batchSize = Math.ceil(READ_AHEAD / runSamples) * runSamples;
  for await (const batch of dataset.batches({ batchSize, indices })) {
    let start = 0;
    for (const run of feedsOf({ ...feedPlan, runSamples }, batch)) {
      yield { ...run, labels: batch.labels && sliceRows(batch.labels, start, run.samples) };
      start += run.samples;
    }
  }
}

/**
 * The run of the first sample.
 * @throws TritforgeError DATASET_EMPTY
 */
export async function firstRun(dataset: Dataset, feedPlan: FeedPlan): Promise<SampleRun> {
  if (dataset.sampleCount > 0) for await (const run of sampleRuns(dataset, feedPlan, [0])) return run;
  throw new TritforgeError('DATASET_EMPTY', 'the dataset has no samples', { field: 'datasets' });
}

/**
 * Which samples to use when not all are: `wanted` of them, evenly spread, so that a dataset sorted by class still gives
 * every class. All when there are not more.
 */
export function sampleIndices(available: number, wanted: number): number[] {
  const count = Math.min(available, wanted);
  return Array.from({ length: count }, (_, i) => Math.floor((i * available) / count));
}
