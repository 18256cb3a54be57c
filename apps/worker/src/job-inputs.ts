import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import type { DatasetReference } from '@tritforge/quant-core/process';
import type { JobClaim, ProjectStore, Store } from '@tritforge/store';

/** The files of a job in the file system. */
export interface JobInputs {
  readonly modelPath: string;
  readonly fileStem: string;
  readonly calibration: DatasetReference | undefined;
  readonly evaluation: DatasetReference | undefined;
  readonly training: DatasetReference | undefined;
}

/** Resources of the project of a job, and their bytes. */
type Inputs = Pick<ProjectStore, 'models' | 'datasets'> & Pick<Store, 'blobs'>;

/**
 * Brings a job's model and datasets into `folder`, without copying where the file system allows it.
 * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND
 */
export async function fetchInputs(store: Store, { job, projectId }: JobClaim, folder: string): Promise<JobInputs> {
  const { calibration, evaluation, training } = job.datasets;
  const inputs = { ...store.inProject(projectId), blobs: store.blobs };
  return {
    ...(await fetchModel(inputs, job.modelId, join(folder, 'model'))),
    calibration: await fetchDataset(inputs, calibration, join(folder, 'calibration')),
    evaluation: await fetchDataset(inputs, evaluation, join(folder, 'evaluation')),
    training: await fetchDataset(inputs, training, join(folder, 'training')),
  };
}

async function fetchModel(store: Inputs, id: string, folder: string) {
  const model = await store.models.get(id);
  if (model === null) throw new TritforgeError('MODEL_NOT_FOUND', `There is no model ${id}.`);
  for (const { name, digest } of model.files) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await store.blobs.materialize(digest, path);
  }
  const [main] = model.files;
  return { modelPath: join(folder, main!.name), fileStem: main!.name.replace(/\.onnx$/i, '') };
}

async function fetchDataset(
  store: Inputs,
  id: string | undefined,
  path: string,
): Promise<DatasetReference | undefined> {
  if (id === undefined) return undefined;
  const dataset = await store.datasets.get(id);
  if (dataset === null) throw new TritforgeError('DATASET_NOT_FOUND', `There is no dataset ${id}.`);
  await store.blobs.materialize(dataset.digest, path);
  return { path, digest: dataset.digest, ...(dataset.preprocess && { preprocess: dataset.preprocess }) };
}
