import type { Dataset, DatasetSummary, Preprocess } from '@tritforge/contracts';
import type { Created, NewFile, ProjectStore } from '@tritforge/store';
import type { CheckDeps } from '../deps.js';
import type { DatasetFile } from '../inspector.js';
import type { UploadSession } from './upload-session.js';

/** A dataset that passed its inspection, or was here before. */
export interface CheckedDataset extends DatasetFile {
  readonly file: NewFile;
  readonly summary: DatasetSummary;
}

/** Inspects a staged dataset, unless the same bytes passed before. @throws TritforgeError DATASET_*, PREPROCESS_INVALID */
export async function checkDatasetFile(
  { store, inspector }: CheckDeps,
  session: UploadSession,
  file: NewFile,
  preprocess: Preprocess | null,
): Promise<CheckedDataset> {
  const known = await store.datasets.findByContent(file.blob.digest, preprocess);
  const [path] = await session.layOut([file]);
  const summary = known?.summary ?? (await inspector.inspectDataset({ path: path!, preprocess }, session.signal));
  return { path: path!, preprocess, file, summary };
}

/** Publishes the file of a checked dataset and writes its row. @param expiresInSeconds null keeps it until somebody deletes it */
export async function keepDataset(
  store: ProjectStore,
  session: UploadSession,
  { file, preprocess, summary }: CheckedDataset,
  expiresInSeconds: number | null,
): Promise<Created<Dataset>> {
  session.signal.throwIfAborted();
  return store.datasets.create({ file, preprocess, summary, expiresInSeconds });
}
