import type { Dataset } from '@tritforge/contracts';
import type { FileSender } from './files/form.js';
import type { DatasetFile } from './files/sources.js';
import type { Transport } from './http/transport.js';
import type { CallOptions, PostOptions } from './options.js';
import { type PageOptions, pages } from './pages.js';
import { uploadDataset } from './uploads.js';

/** Datasets that the service has. */
export class Datasets {
  readonly #transport: Transport;
  readonly #files: FileSender;

  constructor(transport: Transport, files: FileSender) {
    this.#transport = transport;
    this.#files = files;
  }

  /**
   * Uploads a dataset; the same bytes, preprocessed in the same way, give the same dataset.
   * @throws ProblemError, TritforgeError SERVICE_UNREACHABLE, the error of the file system when the file cannot be read
   * @example const { id } = await client.datasets.upload({ path: 'images.zip', preprocess: { scale: 1 / 255 } });
   */
  upload(dataset: DatasetFile, options: PostOptions = {}): Promise<Dataset> {
    return uploadDataset(this.#files, dataset, options);
  }

  /** @throws ProblemError DATASET_NOT_FOUND and others */
  get(id: string, { signal }: CallOptions = {}): Promise<Dataset> {
    return this.#transport.json({ method: 'GET', path: `/datasets/${encodeURIComponent(id)}`, signal });
  }

  /** All datasets, newest first, page by page as they are asked for. */
  list(options: PageOptions = {}): AsyncGenerator<Dataset> {
    return pages(this.#transport, '/datasets', new URLSearchParams(), options);
  }

  /** @throws ProblemError RESOURCE_IN_USE while a job needs it, DATASET_NOT_FOUND and others */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return this.#transport.done({ method: 'DELETE', path: `/datasets/${encodeURIComponent(id)}`, signal });
  }
}
