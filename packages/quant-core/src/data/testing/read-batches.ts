import type { Batch, Dataset } from '../dataset.js';
import { type DatasetOptions, openDataset } from '../open-dataset.js';

/** All batches of an opened dataset. */
export async function readBatches(
  dataset: Dataset,
  options: { batchSize: number; indices?: readonly number[] },
): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of dataset.batches(options)) batches.push(batch);
  return batches;
}

/** Opens a dataset, uses it and closes it. */
export async function withDataset<T>(
  file: string,
  options: DatasetOptions,
  use: (dataset: Dataset) => Promise<T>,
): Promise<T> {
  const dataset = await openDataset(file, options);
  try {
    return await use(dataset);
  } finally {
    await dataset.close();
  }
}
