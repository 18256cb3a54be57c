import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { Database } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { reserveStorage } from '../limits/quotas.js';
import { projectOf, type Reach } from '../repositories/reach.js';
import type { UploadFiles } from './upload-files.js';
import { createUploadLocks, type UploadLocks } from './upload-locks.js';

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

/** What a project may have at a time. Finished uploads count until they expire or are deleted: they take the same space. */
export interface UploadLimits {
  readonly maxUploads: number;
  readonly maxTotalBytes: number;
  readonly lifetimeSeconds: number;
}

/** Uploads of a project. */
export interface UploadRepository {
  readonly locks: UploadLocks;
  /** @throws TritforgeError QUOTA_EXCEEDED, STORAGE_FULL */
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

export function createUploadRepository(db: PrismaClient, files: UploadFiles, reach: Reach): UploadRepository {
  const projectId = projectOf(reach);
  return {
    locks: createUploadLocks(db, reach),
    create: async ({ id, sizeBytes, metadata }, limits) => {
      const expiresAt = new Date(Date.now() + limits.lifetimeSeconds * 1000);
      await db.$transaction(async (tx) => {
        await checkRoom(tx, projectId, sizeBytes, limits);
        await tx.upload.create({
          data: { id, projectId, sizeBytes: BigInt(sizeBytes), metadata: { ...metadata }, expiresAt },
        });
      });
      // The row first: what is swept is found by its row.
      await files.create(id);
    },
    get: async (id) => {
      const row = await db.upload.findFirst({ where: { id, ...reach, expiresAt: { gt: new Date() } } });
      const offsetBytes = row && (await files.sizeOf(id));
      if (row === null || offsetBytes === null) return null;
      const metadata = row.metadata as UploadMetadata;
      return { id, sizeBytes: Number(row.sizeBytes), offsetBytes, metadata, expiresAt: row.expiresAt };
    },
    append: files.append,
    open: files.open,
    delete: async (id) => {
      const row = await db.upload.findFirst({ where: { id, ...reach }, select: { id: true } });
      if (row === null) throw new TritforgeError('UPLOAD_NOT_FOUND', `There is no upload ${id}.`);
      await remove(db, files, [id]);
    },
  };
}

/** Expired uploads deleted in one sweep. */
const SWEEP_LIMIT = 100;

/** Deletes uploads that have expired; returns how many. */
export async function sweepUploads(db: PrismaClient, files: UploadFiles): Promise<number> {
  const where = { expiresAt: { lte: new Date() } };
  const expired = await db.upload.findMany({ where, select: { id: true }, take: SWEEP_LIMIT });
  const ids = expired.map(({ id }) => id);
  await remove(db, files, ids);
  return ids.length;
}

async function remove(db: PrismaClient, files: UploadFiles, ids: readonly string[]): Promise<void> {
  for (const id of ids) await files.remove(id);
  await db.upload.deleteMany({ where: { id: { in: [...ids] } } });
}

/** Makes sure that a project has room for one more; those of one project take turns. @throws TritforgeError QUOTA_EXCEEDED */
async function checkRoom(tx: Database, projectId: string, sizeBytes: number, limits: UploadLimits): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM projects WHERE id = ${projectId} FOR UPDATE`;
  const { _count, _sum } = await tx.upload.aggregate({ where: { projectId }, _count: true, _sum: { sizeBytes: true } });
  const usedBytes = Number(_sum.sizeBytes ?? 0n);
  if (_count >= limits.maxUploads || usedBytes + sizeBytes > limits.maxTotalBytes) {
    throw new TritforgeError(
      'QUOTA_EXCEEDED',
      `The project has ${_count} of ${limits.maxUploads} uploads with ${usedBytes} of ${limits.maxTotalBytes} bytes, and this one has ${sizeBytes}`,
      { remediation: 'Delete uploads that were used or given up, or wait until they expire.' },
    );
  }
  await reserveStorage(tx, projectId, BigInt(sizeBytes));
}
