import { type Dataset, type DatasetSummary, newId, type Preprocess, TritforgeError } from '@tritforge/contracts';
import { deleteUnreferencedBlobs, withBlobs } from '../blobs/blob-references.js';
import type { BlobStorage } from '../blobs/blob-storage.js';
import { type Database, Prisma, storableText, toJson } from '../database.js';
import type { Dataset as DatasetRow, PrismaClient } from '../generated/client.js';
import { reserveStorage } from '../limits/quotas.js';
import { keepFor, keepLonger } from './expiry.js';
import { contentKey, type NewFile } from './files.js';
import { lockForDelete } from './job-references.js';
import type { Created } from './models.js';
import { type Page, type PageRequest, readPage } from './page.js';
import { projectOf, type Reach } from './reach.js';

export interface NewDataset {
  readonly file: NewFile;
  readonly preprocess: Preprocess | null;
  readonly summary: DatasetSummary;
  /** Kept until somebody deletes it when left out. */
  readonly expiresInSeconds?: number | null | undefined;
}

/** Datasets of a project, identified by their bytes and their preprocess description. */
export interface DatasetRepository {
  /**
   * Publishes the file and writes the row; the same content and preprocess gives the row that exists, and the later of both expiries.
   * @throws TritforgeError QUOTA_EXCEEDED, SERVICE_UNAVAILABLE, STORAGE_FULL
   */
  create(dataset: NewDataset): Promise<Created<Dataset>>;
  get(id: string): Promise<Dataset | null>;
  findByContent(digest: string, preprocess: Preprocess | null): Promise<Dataset | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Dataset>>;
  /** Keeps the dataset for so many seconds from now; until somebody deletes it where that is null. @throws TritforgeError DATASET_NOT_FOUND */
  keepFor(id: string, seconds: number | null): Promise<Dataset>;
  /** @throws TritforgeError DATASET_NOT_FOUND, RESOURCE_IN_USE (a queued or running job needs it). */
  delete(id: string): Promise<void>;
}

const datasetKey = (digest: string, preprocess: Preprocess | null): string => contentKey([digest, preprocess]);

function toDataset(row: DatasetRow): Dataset {
  return {
    id: row.id,
    fileName: row.fileName,
    sizeBytes: Number(row.sizeBytes),
    digest: row.digest,
    preprocess: row.preprocess as Preprocess | null,
    summary: row.summary as DatasetSummary,
    source: row.source,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
  };
}

export function createDatasetRepository(db: PrismaClient, blobs: BlobStorage, reach: Reach): DatasetRepository {
  const projectId = projectOf(reach);
  const ofContent = (contentKey: string) => ({ projectId_contentKey: { projectId, contentKey } });
  const get = async (id: string): Promise<Dataset | null> => {
    const row = await db.dataset.findFirst({ where: { id, ...reach } });
    return row && toDataset(row);
  };
  return {
    create: ({ file, preprocess, summary, expiresInSeconds = null }) => {
      const key = datasetKey(file.blob.digest, preprocess);
      return withBlobs(db, blobs, [file.blob], async (tx, publish) => {
        // Whoever writes this content holds the lock of its digest, and a row that is there is kept until this ends.
        const created = !(await keepLonger(tx, 'dataset', { projectId, contentKey: key }, expiresInSeconds));
        // Before content is published, so that a refusal leaves no file.
        if (created) await reserveStorage(tx, projectId, BigInt(file.blob.sizeBytes));
        await publish();
        if (created) {
          const id = newId('dataset');
          await tx.dataset.create({
            data: {
              id,
              projectId,
              contentKey: key,
              fileName: storableText(file.name),
              sizeBytes: BigInt(file.blob.sizeBytes),
              digest: file.blob.digest,
              preprocess: preprocess === null ? Prisma.DbNull : toJson(preprocess),
              summary: toJson(summary),
              source: file.source === undefined ? null : storableText(file.source),
            },
          });
          await keepFor(tx, 'dataset', { projectId }, id, expiresInSeconds);
        }
        const row = await tx.dataset.findUniqueOrThrow({ where: ofContent(key) });
        return { value: toDataset(row), created };
      });
    },
    get,
    findByContent: async (digest, preprocess) => {
      const row = await db.dataset.findUnique({ where: ofContent(datasetKey(digest, preprocess)) });
      return row && toDataset(row);
    },
    list: async (request = {}) => {
      const page = await readPage(request, (take, where) =>
        db.dataset.findMany({ where: { ...where, ...reach }, orderBy: { id: 'desc' }, take }),
      );
      return { ...page, items: page.items.map(toDataset) };
    },
    keepFor: async (id, seconds) => {
      const isThere = await keepFor(db, 'dataset', reach, id, seconds);
      return (isThere ? await get(id) : null) ?? notFound(id);
    },
    delete: async (id) => {
      const digests = await db.$transaction(async (tx) => {
        if (!(await lockForDelete(tx, 'dataset', reach, id))) notFound(id);
        return removeDatasets(tx, [id]);
      });
      await deleteUnreferencedBlobs(db, blobs, digests);
    },
  };
}

function notFound(id: string): never {
  throw new TritforgeError('DATASET_NOT_FOUND', `There is no dataset ${id}.`);
}

/**
 * Deletes datasets within a transaction that holds the locks of their rows.
 * @returns the digests of their files, for `deleteUnreferencedBlobs` behind the transaction
 */
export async function removeDatasets(tx: Database, ids: readonly string[]): Promise<string[]> {
  const where = { id: { in: [...ids] } };
  const files = await tx.dataset.findMany({ where, select: { digest: true } });
  await tx.dataset.deleteMany({ where });
  return files.map(({ digest }) => digest);
}
