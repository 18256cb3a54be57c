import type { Model, ModelSummary } from '@tritforge/contracts';
import type { StagedBlob } from '../blobs/blob-storage.js';
import type { Page, PageRequest } from './page.js';

/** A file of a model or an artifact: the .onnx file first, then its external data by the names the model gives. */
export interface NewFile {
  readonly name: string;
  readonly blob: StagedBlob;
}

export interface NewModel {
  /** The first is the .onnx file. */
  readonly files: readonly NewFile[];
  readonly summary: ModelSummary;
}

/** A row that was asked for, and whether it is new. */
export interface Created<T> {
  readonly value: T;
  /** False when the same content was there already: `value` is then the row that was. */
  readonly created: boolean;
}

/** Models, identified by the bytes of their .onnx file and the names and bytes of their external data. */
export interface ModelRepository {
  /** Publishes the files and writes the row; the same content gives the row that exists, whatever the file is called. */
  create(model: NewModel): Promise<Created<Model>>;
  get(id: string): Promise<Model | null>;
  /** The model with this content, so that a repeated upload needs no second inspection. */
  findByContent(files: readonly { readonly name: string; readonly digest: string }[]): Promise<Model | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Model>>;
  /**
   * Deletes the row, and each of its files that nothing else refers to. Jobs that have ended keep the id.
   *
   * @throws TritforgeError MODEL_NOT_FOUND, RESOURCE_IN_USE (a queued or running job needs it).
   */
  delete(id: string): Promise<void>;
}
