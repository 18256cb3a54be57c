import { join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import { sampleIndices, sampleRuns } from '../calibrate/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { type LabelPlan, storeLabelled } from './labelled-samples.js';
import { type StoreSummary, storeSamples } from './sample-store.js';
import { piecesOf } from './shuffled.js';

/** Of the samples one in so many is kept aside, but not more than the most. */
const HELD_OUT_STRIDE = 8;
const MOST_HELD_OUT = 512;

/** The samples in a file, and which of its records are for what. */
export interface TuningSamples {
  readonly store: StoreSummary;
  readonly fitting: readonly number[];
  /** In batches of a thread's part. */
  readonly heldOut: readonly (readonly number[])[];
  /** Samples of a batch that one thread takes. */
  readonly part: number;
}

/** What to train on, and how much of it at a time. */
export interface TuningData {
  readonly data: JobDataset;
  /** How labels are stored beside the samples; null where nobody looks at them. */
  readonly labels: LabelPlan | null;
  /** Samples of one update, a multiple of `threads`; fewer where there are few samples. */
  readonly batch: number;
  readonly threads: number;
  readonly scratchDir: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Every eighth sample is kept aside; a rest that fills no batch is left out. Batches are smaller where there
 * are few samples.
 * @throws TritforgeError DATASET_TOO_SMALL, DATASET_SHAPE_MISMATCH, DATASET_LABELS_MISSING, DATASET_LABELS_INVALID
 */
export async function storeTuningSamples({
  data,
  labels,
  scratchDir,
  batch,
  threads,
  signal,
}: TuningData): Promise<TuningSamples> {
  const { dataset, feedPlan } = data;
  const every = sampleIndices(dataset.sampleCount, dataset.sampleCount);
  const path = join(scratchDir, 'samples.bin');
  const store =
    labels === null
      ? await storeSamples(sampleRuns(dataset, feedPlan, every), path, signal)
      : (await storeLabelled(data, path, labels, signal)).store;
  const all = Array.from({ length: store.records }, (_, i) => i);
  const isHeldOut = (i: number) => i % HELD_OUT_STRIDE === HELD_OUT_STRIDE - 1 && i < MOST_HELD_OUT * HELD_OUT_STRIDE;
  const [fitting, aside] = [all.filter((i) => !isHeldOut(i)), all.filter(isHeldOut)];
  const part = Math.min(batch / threads, Math.floor(fitting.length / threads), aside.length);
  if (part === 0) throw tooFew(store.records, threads);
  return { store, fitting, heldOut: piecesOf(aside, part), part };
}

function tooFew(records: number, threads: number): TritforgeError {
  const fewest = Math.max(HELD_OUT_STRIDE, threads + 1);
  return new TritforgeError(
    'DATASET_TOO_SMALL',
    `There are ${records} samples to train on; training takes ${fewest} or more, of which it keeps some aside`,
    { field: 'datasets.training', remediation: 'Send more samples, a few hundred for a result worth having.' },
  );
}
