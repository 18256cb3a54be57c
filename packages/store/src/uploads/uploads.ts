import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { PrismaClient } from '../generated/client.js';
import { projectOf, type Reach } from '../repositories/reach.js';
import type { UploadFiles } from './upload-files.js';
import { createUploadLocks, type UploadLocks } from './upload-locks.js';
import { endOf, takeRoom, type UploadLimits } from './upload-room.js';

/** What a client says of an upload; keys may have no value. */
export type UploadMetadata = Readonly<Record<string, string | null>>;

/** A file that arrives in pieces. It can be used when all of it has arrived, until it expires. */
export interface Upload {
  readonly id: string;
  readonly sizeBytes: number;
  /** How much has arrived. */
  readonly offsetBytes: number;
  readonly metadata: UploadMetadata;
  readonly expiresAt: Date;
}

/** Uploads of a project that come through the service. */
export interface UploadRepository {
  readonly locks: UploadLocks;
  /** Goes on with one of the id that is there, as a request leaves it that was broken off. @throws TritforgeError QUOTA_EXCEEDED, STORAGE_FULL */
  create(upload: Pick<Upload, 'id' | 'sizeBytes' | 'metadata'>, limits: UploadLimits): Promise<void>;
  /** Null where there is none, and where it has expired. */
  get(id: string): Promise<Upload | null>;
  /** See `UploadFiles.append`; only for holders of the lock. */
  append(id: string, offsetBytes: number, source: AsyncIterable<Uint8Array>): Promise<number>;
  /** What has arrived. */
  open(id: string): Readable;
  /** @throws TritforgeError UPLOAD_NOT_FOUND */
  delete(id: string): Promise<void>;
}

/** Rows of uploads whose bytes come through the service. */
const THROUGH_US = { partBytes: null } as const;

export function createUploadRepository(db: PrismaClient, files: UploadFiles, reach: Reach): UploadRepository {
  const projectId = projectOf(reach);
  return {
    locks: createUploadLocks(db, reach),
    create: async ({ id, sizeBytes, metadata }, limits) => {
      await db.$transaction(async (tx) => {
        if ((await tx.upload.findFirst({ where: { id, projectId }, select: { id: true } })) !== null) return;
        await takeRoom(tx, projectId, sizeBytes, limits);
        await tx.upload.create({
          data: { id, projectId, sizeBytes: BigInt(sizeBytes), metadata: { ...metadata }, expiresAt: endOf(limits) },
        });
      });
      // The row first: what is swept is found by its row.
      await files.create(id);
    },
    get: async (id) => {
      const row = await db.upload.findFirst({ where: { id, ...reach, ...THROUGH_US, expiresAt: { gt: new Date() } } });
      const offsetBytes = row && (await files.sizeOf(id));
      if (row === null || offsetBytes === null) return null;
      const metadata = row.metadata as UploadMetadata;
      return { id, sizeBytes: Number(row.sizeBytes), offsetBytes, metadata, expiresAt: row.expiresAt };
    },
    append: files.append,
    open: files.open,
    delete: async (id) => {
      const row = await db.upload.findFirst({ where: { id, ...reach, ...THROUGH_US }, select: { id: true } });
      if (row === null) throw new TritforgeError('UPLOAD_NOT_FOUND', `There is no upload ${id}.`);
      await remove(db, files, [id]);
    },
  };
}

/** Expired uploads deleted in one sweep. */
const SWEEP_LIMIT = 100;

/** Deletes uploads that have expired; returns how many. */
export async function sweepUploads(db: PrismaClient, files: UploadFiles): Promise<number> {
  const where = { ...THROUGH_US, expiresAt: { lte: new Date() } };
  const expired = await db.upload.findMany({ where, select: { id: true }, take: SWEEP_LIMIT });
  const ids = expired.map(({ id }) => id);
  await remove(db, files, ids);
  return ids.length;
}

async function remove(db: PrismaClient, files: UploadFiles, ids: readonly string[]): Promise<void> {
  for (const id of ids) await files.remove(id);
  await db.upload.deleteMany({ where: { id: { in: [...ids] } } });
}
