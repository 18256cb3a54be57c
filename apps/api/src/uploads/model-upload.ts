import type { Model, ModelSummary } from '@tritforge/contracts';
import type { Created, NewFile, ProjectStore } from '@tritforge/store';
import type { CheckDeps } from '../deps.js';
import { externalDataPath, refuseFilesAsFolders } from './file-names.js';
import type { Part } from './multipart.js';
import { duplicatePart } from './part-errors.js';
import { SingleFile } from './single-file.js';
import type { UploadSession } from './upload-session.js';

/** The files of a model as they arrive: the .onnx file and its external data, in any order. */
export class ModelParts {
  readonly #session: UploadSession;
  readonly #names = new Set<string>();
  readonly #data: NewFile[] = [];
  readonly #model = new SingleFile('model', 'model.onnx');

  constructor(session: UploadSession) {
    this.#session = session;
  }

  /** @throws TritforgeError MULTIPART_PART_DUPLICATE and those of staging */
  async takeModel(part: Pick<Part, 'content' | 'fileName' | 'source'>): Promise<void> {
    await this.#model.take(part, this.#session);
  }

  /** @throws TritforgeError MULTIPART_PART_DUPLICATE, MODEL_EXTERNAL_DATA_ESCAPES and those of staging */
  async takeData({ content, fileName }: Part): Promise<void> {
    const name = externalDataPath(fileName);
    if (this.#names.has(name)) throw duplicatePart('data', name);
    this.#names.add(name);
    this.#data.push({ name, blob: await this.#session.stage(content) });
  }

  /** The .onnx file, then its external data by name. @throws TritforgeError MULTIPART_PART_MISSING, MULTIPART_PART_DUPLICATE, MULTIPART_INVALID */
  files(): NewFile[] {
    const model = this.#model.file();
    if (this.#names.has(model.name)) throw duplicatePart('data', model.name);
    refuseFilesAsFolders([model.name, ...this.#names]);
    return [model, ...this.#data.toSorted((left, right) => (left.name < right.name ? -1 : 1))];
  }
}

/** A model that passed its inspection, or was here before. */
export interface CheckedModel {
  readonly files: readonly NewFile[];
  readonly summary: ModelSummary;
  /** Path of the .onnx file among its external data; gone when the session closes. */
  readonly path: string;
}

/** Inspects staged model files, unless the same bytes passed before. @throws TritforgeError MODEL_* */
export async function checkModel(
  { store, inspector }: CheckDeps,
  session: UploadSession,
  files: readonly NewFile[],
): Promise<CheckedModel> {
  const known = await store.models.findByContent(files.map(({ name, blob }) => ({ name, digest: blob.digest })));
  const [path] = await session.layOut(files);
  const summary = known?.summary ?? (await inspector.inspectModel(path!, session.signal));
  return { files, summary, path: path! };
}

/** Publishes the files of a checked model and writes its row. @param expiresInSeconds null keeps it until somebody deletes it */
export async function keepModel(
  store: ProjectStore,
  session: UploadSession,
  { files, summary }: CheckedModel,
  expiresInSeconds: number | null,
): Promise<Created<Model>> {
  session.signal.throwIfAborted();
  return store.models.create({ files, summary, expiresInSeconds });
}
