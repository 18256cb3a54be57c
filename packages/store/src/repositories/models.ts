import { type Model, type ModelSummary, newId, TritforgeError } from '@tritforge/contracts';
import { deleteUnreferencedBlobs, withBlobs } from '../blobs/blob-references.js';
import type { BlobStorage } from '../blobs/blob-storage.js';
import { type Database, storableText, toJson } from '../database.js';
import type { Model as ModelRow, PrismaClient } from '../generated/client.js';
import { reserveStorage } from '../limits/quotas.js';
import { keepFor, keepLonger } from './expiry.js';
import { contentKey, type FileRow, isWhole, type NewFile, toFileRows, toStoredFiles, totalBytes } from './files.js';
import { lockForDelete } from './job-references.js';
import { type Page, type PageRequest, readPage } from './page.js';
import { projectOf, type Reach } from './reach.js';

export interface NewModel {
  /** The first is the .onnx file. */
  readonly files: readonly NewFile[];
  readonly summary: ModelSummary;
  /** Kept until somebody deletes it when left out. */
  readonly expiresInSeconds?: number | null | undefined;
}

/** A row that was asked for, and whether it is new. */
export interface Created<T> {
  readonly value: T;
  /** False when the same content was there already: `value` is then the row that was. */
  readonly created: boolean;
}

/** Models of a project, identified by the bytes of their .onnx file and the names and bytes of their external data. */
export interface ModelRepository {
  /**
   * Publishes the files and writes the row; the same content gives the row that exists, whatever the file is called, and the later of
   * both expiries.
   * @throws TritforgeError QUOTA_EXCEEDED, SERVICE_UNAVAILABLE, STORAGE_FULL
   */
  create(model: NewModel): Promise<Created<Model>>;
  get(id: string): Promise<Model | null>;
  /** The model with this content, so that a repeated upload needs no second inspection. */
  findByContent(files: readonly { readonly name: string; readonly digest: string }[]): Promise<Model | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Model>>;
  /** Keeps the model for so many seconds from now; until somebody deletes it where that is null. @throws TritforgeError MODEL_NOT_FOUND */
  keepFor(id: string, seconds: number | null): Promise<Model>;
  /**
   * Deletes the row, and each of its files that nothing else refers to. Jobs that have ended keep the id.
   *
   * @throws TritforgeError MODEL_NOT_FOUND, RESOURCE_IN_USE (a queued or running job needs it).
   */
  delete(id: string): Promise<void>;
}

const WITH_FILES = { files: { orderBy: { position: 'asc' } } } as const;

/** The name of the .onnx file is the uploader's choice, names of external data are part of the model. */
function modelKey(files: readonly { readonly name: string; readonly digest: string }[]): string {
  const [main, ...external] = files;
  return contentKey([main?.digest, external.map(({ name, digest }) => `${name}\0${digest}`).sort()]);
}

function toModel(row: ModelRow & { files: FileRow[] }): Model {
  return {
    id: row.id,
    fileName: row.fileName,
    sizeBytes: Number(row.sizeBytes),
    digest: row.digest,
    files: toStoredFiles(row.files),
    summary: row.summary as ModelSummary,
    source: row.source,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
  };
}

export function createModelRepository(db: PrismaClient, blobs: BlobStorage, reach: Reach): ModelRepository {
  const projectId = projectOf(reach);
  const ofContent = (contentKey: string) => ({ projectId_contentKey: { projectId, contentKey } });
  const get = async (id: string): Promise<Model | null> => {
    const row = await db.model.findFirst({ where: { id, ...reach }, include: WITH_FILES });
    return row && isWhole(row) ? toModel(row) : null;
  };
  return {
    create: ({ files, summary, expiresInSeconds = null }) => {
      const [main] = files;
      if (!main) throw new RangeError('a model has at least one file');
      const key = modelKey(files.map(({ name, blob }) => ({ name, digest: blob.digest })));
      const staged = files.map(({ blob }) => blob);
      return withBlobs(db, blobs, staged, async (tx, publish) => {
        // Whoever writes this content holds the locks of its digests, and a row that is there is kept until this ends.
        const created = !(await keepLonger(tx, 'model', { projectId, contentKey: key }, expiresInSeconds));
        // Before content is published, so that a refusal leaves no files.
        if (created) await reserveStorage(tx, projectId, totalBytes(files));
        await publish();
        if (created) {
          const id = newId('model');
          await tx.model.create({
            data: {
              id,
              projectId,
              contentKey: key,
              fileName: storableText(main.name),
              sizeBytes: totalBytes(files),
              digest: main.blob.digest,
              summary: toJson(summary),
              source: main.source === undefined ? null : storableText(main.source),
              files: { create: toFileRows(files) },
            },
          });
          await keepFor(tx, 'model', { projectId }, id, expiresInSeconds);
        }
        const row = await tx.model.findUniqueOrThrow({ where: ofContent(key), include: WITH_FILES });
        return { value: toModel(row), created };
      });
    },
    get,
    findByContent: async (files) => {
      const row = await db.model.findUnique({ where: ofContent(modelKey(files)), include: WITH_FILES });
      return row && isWhole(row) ? toModel(row) : null;
    },
    list: async (request = {}) => {
      const page = await readPage(request, (take, where) =>
        db.model.findMany({ where: { ...where, ...reach }, orderBy: { id: 'desc' }, take, include: WITH_FILES }),
      );
      return { ...page, items: page.items.filter(isWhole).map(toModel) };
    },
    keepFor: async (id, seconds) => {
      const isThere = await keepFor(db, 'model', reach, id, seconds);
      return (isThere ? await get(id) : null) ?? notFound(id);
    },
    delete: async (id) => {
      const digests = await db.$transaction(async (tx) => {
        if (!(await lockForDelete(tx, 'model', reach, id))) notFound(id);
        return removeModels(tx, [id]);
      });
      await deleteUnreferencedBlobs(db, blobs, digests);
    },
  };
}

function notFound(id: string): never {
  throw new TritforgeError('MODEL_NOT_FOUND', `There is no model ${id}.`);
}

/**
 * Deletes models within a transaction that holds the locks of their rows.
 * @returns the digests of their files, for `deleteUnreferencedBlobs` behind the transaction
 */
export async function removeModels(tx: Database, ids: readonly string[]): Promise<string[]> {
  const files = await tx.modelFile.findMany({ where: { modelId: { in: [...ids] } }, select: { digest: true } });
  await tx.model.deleteMany({ where: { id: { in: [...ids] } } });
  return files.map(({ digest }) => digest);
}
