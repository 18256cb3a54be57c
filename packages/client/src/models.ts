import type { Model } from '@tritforge/contracts';
import type { FileSender } from './files/form.js';
import type { ModelFiles } from './files/sources.js';
import type { Transport } from './http/transport.js';
import type { CallOptions, PostOptions } from './options.js';
import { type PageOptions, pages } from './pages.js';
import { uploadModel } from './uploads.js';

/** Models that the service has. */
export class Models {
  readonly #transport: Transport;
  readonly #files: FileSender;

  constructor(transport: Transport, files: FileSender) {
    this.#transport = transport;
    this.#files = files;
  }

  /**
   * Uploads a model with its external data; the same bytes give the same model.
   * @throws ProblemError, TritforgeError SERVICE_UNREACHABLE, the error of the file system when a file cannot be read
   * @example const { id } = await client.models.upload({ path: 'large.onnx', data: ['large.onnx.data'] });
   */
  upload(model: ModelFiles, options: PostOptions = {}): Promise<Model> {
    return uploadModel(this.#files, model, options);
  }

  /** @throws ProblemError MODEL_NOT_FOUND and others */
  get(id: string, { signal }: CallOptions = {}): Promise<Model> {
    return this.#transport.json({ method: 'GET', path: `/models/${encodeURIComponent(id)}`, signal });
  }

  /** All models, newest first, page by page as they are asked for. */
  list(options: PageOptions = {}): AsyncGenerator<Model> {
    return pages(this.#transport, '/models', new URLSearchParams(), options);
  }

  /** @throws ProblemError RESOURCE_IN_USE while a job needs it, MODEL_NOT_FOUND and others */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return this.#transport.done({ method: 'DELETE', path: `/models/${encodeURIComponent(id)}`, signal });
  }
}
