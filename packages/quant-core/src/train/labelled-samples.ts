/** Samples with their labels beside them in the records of a store, and the labels in memory. */
import { TritforgeError } from '@tritforge/contracts';
import { sampleIndices, sampleRuns } from '../calibrate/index.js';
import { labelNumbers, labelsMissing } from '../evaluate/label-rows.js';
import type { JobDataset } from '../pipeline/job-data.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { type StoreSummary, storeSamples } from './sample-store.js';

export interface LabelledSamples {
  readonly store: StoreSummary;
  /** Of record i from i · rows on. */
  readonly labels: Int32Array;
}

export interface LabelPlan {
  /** The name that labels are stored under. */
  readonly labelInput: string;
  /** Labels of a sample. */
  readonly rows: number;
  readonly classes: number;
}

/**
 * Writes all samples of a dataset to a new file.
 * @throws TritforgeError DATASET_LABELS_MISSING, DATASET_LABELS_INVALID for labels that do not fit the scores, DATASET_SHAPE_MISMATCH,
 *   CANCELED
 */
export async function storeLabelled(
  { dataset, feedPlan }: Pick<JobDataset, 'dataset' | 'feedPlan'>,
  path: string,
  plan: LabelPlan,
  signal?: AbortSignal,
): Promise<LabelledSamples> {
  const labels = new Int32Array(dataset.sampleCount * plan.rows);
  const all = sampleIndices(dataset.sampleCount, dataset.sampleCount);
  async function* runs(): AsyncGenerator<{ feeds: Feeds }> {
    let sample = 0;
    for await (const run of sampleRuns(dataset, feedPlan, all)) {
      const own = labelsOf(run.labels, plan, sample);
      labels.set(own, sample++ * plan.rows);
      const stored: HostTensor = { dtype: 'int64', shape: [1, plan.rows], data: BigInt64Array.from(own, BigInt) };
      yield { feeds: new Map([...run.feeds, [plan.labelInput, stored]]) };
    }
  }
  return { store: await storeSamples(runs(), path, signal), labels };
}

function labelsOf(labels: HostTensor | null, { rows, classes }: LabelPlan, sample: number): readonly number[] {
  if (labels === null) throw labelsMissing('training');
  const numbers = [...labelNumbers(labels)];
  if (numbers.length !== rows) throw invalid(`sample ${sample} has ${numbers.length} labels, the network ${rows} rows`);
  const wrong = numbers.find((label) => label >= classes || !Number.isInteger(label));
  if (wrong !== undefined) throw invalid(`sample ${sample} has the label ${wrong}, the network ${classes} classes`);
  return numbers;
}

function invalid(message: string): TritforgeError {
  return new TritforgeError('DATASET_LABELS_INVALID', message, {
    field: 'labels',
    remediation: 'Labels are class numbers from 0, one for each row of scores; -1 is skipped.',
  });
}
