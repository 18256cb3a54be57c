import type { Dataset, DatasetSummary, Preprocess } from '@tritforge/contracts';
import type { Created, NewFile } from './models.js';
import type { Page, PageRequest } from './page.js';

export interface NewDataset {
  readonly file: NewFile;
  readonly preprocess: Preprocess | null;
  readonly summary: DatasetSummary;
}

/** Datasets, identified by their bytes and their preprocess description. */
export interface DatasetRepository {
  /** Publishes the file and writes the row; the same content and preprocess gives the row that exists. */
  create(dataset: NewDataset): Promise<Created<Dataset>>;
  get(id: string): Promise<Dataset | null>;
  findByContent(digest: string, preprocess: Preprocess | null): Promise<Dataset | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Dataset>>;
  /** @throws TritforgeError DATASET_NOT_FOUND, RESOURCE_IN_USE (a queued or running job needs it). */
  delete(id: string): Promise<void>;
}
