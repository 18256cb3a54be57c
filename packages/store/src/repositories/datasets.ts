import { type Dataset, type DatasetSummary, newId, type Preprocess, TritforgeError } from '@tritforge/contracts';
import { deleteUnreferencedBlobs, publishBlobs } from '../blobs/blob-references.js';
import type { BlobStorage } from '../blobs/blob-storage.js';
import { Prisma, storableText, toJson } from '../database.js';
import type { Dataset as DatasetRow, PrismaClient } from '../generated/client.js';
import { reserveStorage } from '../limits/quotas.js';
import { contentKey, type NewFile } from './files.js';
import { lockForDelete } from './job-references.js';
import type { Created } from './models.js';
import { type Page, type PageRequest, readPage } from './page.js';
import { projectOf, type Reach } from './reach.js';

export interface NewDataset {
  readonly file: NewFile;
  readonly preprocess: Preprocess | null;
  readonly summary: DatasetSummary;
}

/** Datasets of a project, identified by their bytes and their preprocess description. */
export interface DatasetRepository {
  /**
   * Publishes the file and writes the row; the same content and preprocess gives the row that exists.
   * @throws TritforgeError QUOTA_EXCEEDED
   */
  create(dataset: NewDataset): Promise<Created<Dataset>>;
  get(id: string): Promise<Dataset | null>;
  findByContent(digest: string, preprocess: Preprocess | null): Promise<Dataset | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Dataset>>;
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
    createdAt: row.createdAt.toISOString(),
  };
}

export function createDatasetRepository(db: PrismaClient, blobs: BlobStorage, reach: Reach): DatasetRepository {
  const projectId = projectOf(reach);
  const ofContent = (contentKey: string) => ({ projectId_contentKey: { projectId, contentKey } });
  return {
    create: ({ file, preprocess, summary }) => {
      const key = datasetKey(file.blob.digest, preprocess);
      return db.$transaction(async (tx) => {
        // Before content is published, so that a refusal leaves no file.
        const isNew = (await tx.dataset.findUnique({ where: ofContent(key), select: { id: true } })) === null;
        if (isNew) await reserveStorage(tx, projectId, BigInt(file.blob.sizeBytes));
        await publishBlobs(tx, [file.blob]);
        const existing = await tx.dataset.findUnique({ where: ofContent(key) });
        if (existing) return { value: toDataset(existing), created: false };
        const row = await tx.dataset.create({
          data: {
            id: newId('dataset'),
            projectId,
            contentKey: key,
            fileName: storableText(file.name),
            sizeBytes: BigInt(file.blob.sizeBytes),
            digest: file.blob.digest,
            preprocess: preprocess === null ? Prisma.DbNull : toJson(preprocess),
            summary: toJson(summary),
          },
        });
        return { value: toDataset(row), created: true };
      });
    },
    get: async (id) => {
      const row = await db.dataset.findFirst({ where: { id, ...reach } });
      return row && toDataset(row);
    },
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
    delete: async (id) => {
      const digest = await db.$transaction(async (tx) => {
        if (!(await lockForDelete(tx, 'dataset', reach, id))) {
          throw new TritforgeError('DATASET_NOT_FOUND', `There is no dataset ${id}.`);
        }
        return (await tx.dataset.delete({ where: { id } })).digest;
      });
      await deleteUnreferencedBlobs(db, blobs, [digest]);
    },
  };
}
