/**
 * Splits calibration data: what precisions are judged on must not be what weights were fitted to.
 *
 *   samples   0 1 2 [3] 4 5 6 [7] …      [every fourth] is kept aside
 */
import type { Dataset } from '../data/dataset.js';
import type { JobDataset } from '../pipeline/job-data.js';

const HELD_OUT_STRIDE = 4;

/** Two parts of a dataset. */
export interface SplitDataset {
  readonly fitting: JobDataset;
  /** Without labels: it is compared with the original model. */
  readonly heldOut: JobDataset;
}

/** Datasets of fewer than four samples serve as both parts. */
export function splitDataset(data: JobDataset): SplitDataset {
  const all = Array.from({ length: data.dataset.sampleCount }, (_, i) => i);
  const isHeldOut = (i: number) => i % HELD_OUT_STRIDE === HELD_OUT_STRIDE - 1;
  const [heldOut, fitting] = [all.filter(isHeldOut), all.filter((i) => !isHeldOut(i))];
  if (heldOut.length === 0) return { fitting: data, heldOut: partOf(data, all) };
  return { fitting: partOf(data, fitting), heldOut: partOf(data, heldOut) };
}

function partOf(data: JobDataset, samples: readonly number[]): JobDataset {
  return { ...data, dataset: new DatasetPart(data.dataset, samples) };
}

/** Some samples of a dataset, without labels. */
class DatasetPart implements Dataset {
  readonly #whole: Dataset;
  readonly #samples: readonly number[];

  constructor(whole: Dataset, samples: readonly number[]) {
    this.#whole = whole;
    this.#samples = samples;
  }

  get summary(): Dataset['summary'] {
    return { ...this.#whole.summary, samples: this.#samples.length, labels: null };
  }

  get preprocess(): Dataset['preprocess'] {
    return this.#whole.preprocess;
  }

  get sampleCount(): number {
    return this.#samples.length;
  }

  async *batches({ batchSize, indices }: Parameters<Dataset['batches']>[0]): ReturnType<Dataset['batches']> {
    const samples = indices?.map((index) => this.#samples[index]!) ?? this.#samples;
    for await (const batch of this.#whole.batches({ batchSize, indices: samples })) yield { ...batch, labels: null };
  }

  /** The whole dataset is closed by whoever opened it. */
  async close(): Promise<void> {}
}
