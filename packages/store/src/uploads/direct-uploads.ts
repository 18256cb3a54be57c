/**
 * START HERE: uploads that clients send straight to the bucket.
 *
 *   create   a row that reserves the announced bytes, then room in the bucket
 *   sign     addresses for parts, as often as they are asked for
 *   finish   the bucket joins the parts; what it has then is read once and compared with what was announced; the row says that it can be used
 *
 * Whoever finishes or deletes an upload holds its lock, so that these never meet. What a crash leaves in the bucket is found by the row,
 * and where that is gone by `sweepBucket`.
 */
import type { Readable } from 'node:stream';
import type { DirectUpload, SignedPart } from '@tritforge/contracts';
import type { BucketUploads, SentPart } from '../blobs/s3/bucket-uploads.js';
import type { UploadPart } from '../blobs/s3/check-content.js';
import { storableText } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { keepAnswer, type Once } from '../once/once.js';
import { projectOf, type Reach } from '../repositories/reach.js';
import { isRefusal, requireAllParts, requireParts, requireSize } from './direct-parts.js';
import {
  begunUpload,
  DIRECT,
  type DirectRow,
  partBytesOf,
  partSizeOf,
  toDirectUpload,
  uploadNotFound,
} from './direct-row.js';
import { removeUpload } from './direct-sweep.js';
import { holdUpload, lockedUpload } from './hold-upload.js';
import { createUploadLocks } from './upload-locks.js';
import { endOf, takeRoom, type UploadLimits } from './upload-room.js';

/** How long an address of a part is good at most, in seconds. */
const ADDRESS_SECONDS = 3600;

/** A file that is announced. */
export interface NewDirectUpload {
  readonly id: string;
  readonly fileName: string | null;
  readonly sizeBytes: number;
  /** `sha256:<hex>`; null where it is not known. */
  readonly digest: string | null;
}

/** Uploads of a project that go straight to the bucket. Each throws TritforgeError SERVICE_UNAVAILABLE when that cannot be reached. */
export interface DirectUploadRepository {
  /**
   * @param once its answer is kept in the transaction after which there is room in the bucket
   * @throws TritforgeError QUOTA_EXCEEDED, STORAGE_FULL, IDEMPOTENCY_IN_PROGRESS where the claim has gone to another request
   */
  create(upload: NewDirectUpload, limits: UploadLimits, once?: Once<DirectUpload>): Promise<DirectUpload>;
  /** Null where there is none, and where it has expired. */
  get(id: string): Promise<DirectUpload | null>;
  /** Addresses for parts, in their order. @throws TritforgeError UPLOAD_NOT_FOUND, UPLOAD_PARTS_INVALID */
  sign(id: string, parts: readonly UploadPart[]): Promise<SignedPart[]>;
  /**
   * Makes a file of the parts, which may come in any order. An upload that is finished stays as it is; one whose content is not what was
   * announced is deleted.
   * @throws TritforgeError UPLOAD_NOT_FOUND, UPLOAD_PARTS_INVALID, UPLOAD_UNFINISHED, UPLOAD_LOCKED, UPLOAD_INCOMPLETE, UPLOAD_TOO_LARGE,
   *   DIGEST_MISMATCH
   */
  finish(id: string, parts: readonly SentPart[]): Promise<DirectUpload>;
  /** The file of a finished upload. */
  open(id: string): Readable;
  /** @throws TritforgeError UPLOAD_NOT_FOUND, UPLOAD_LOCKED */
  delete(id: string): Promise<void>;
}

export function createDirectUploadRepository(
  db: PrismaClient,
  bucket: BucketUploads,
  reach: Reach,
): DirectUploadRepository {
  const projectId = projectOf(reach);
  const locks = createUploadLocks(db, reach);
  const find = async (id: string): Promise<DirectRow | null> => {
    const row = await db.upload.findFirst({ where: { id, ...reach, ...DIRECT, expiresAt: { gt: new Date() } } });
    return row as DirectRow | null;
  };
  const rowOf = async (id: string): Promise<DirectRow> => (await find(id)) ?? uploadNotFound(id);
  /** What the bucket has joined. @returns its digest */
  const check = async (row: DirectRow, parts: readonly SentPart[]): Promise<string> => {
    requireSize(row, (await bucket.sizeOf(row.id)) ?? 0);
    return bucket.check(row.id, { parts, digest: row.digest, partBytes: Number(row.partBytes) });
  };

  return {
    create: async ({ id, fileName, sizeBytes, digest }, limits, once) => {
      const metadata = fileName === null ? {} : { filename: storableText(fileName) };
      const shape = { sizeBytes: BigInt(sizeBytes), partBytes: BigInt(partBytesOf(sizeBytes)), digest };
      // The row first: what is swept is found by its row.
      await db.$transaction(async (tx) => {
        await takeRoom(tx, projectId, sizeBytes, limits);
        await tx.upload.create({ data: { id, projectId, metadata, ...shape, expiresAt: endOf(limits) } });
      });
      try {
        const bucketUpload = await bucket.begin(id);
        return await db.$transaction(async (tx) => {
          const row = await tx.upload.update({ where: { id }, data: { bucketUpload } });
          const made = toDirectUpload(row as DirectRow);
          if (once !== undefined) await keepAnswer(tx, once.claim, once.answerOf(made));
          return made;
        });
      } catch (error) {
        // Nobody knows its id, unless it was begun after all and the database could not say so.
        await db.upload.deleteMany({ where: { id, bucketUpload: null } }).catch(() => {});
        throw error;
      }
    },
    get: async (id) => {
      const row = await find(id);
      return row && toDirectUpload(row);
    },
    sign: async (id, parts) => {
      const row = await rowOf(id);
      requireParts(row, parts);
      const begun = begunUpload(row);
      const leftSeconds = Math.ceil((row.expiresAt.getTime() - Date.now()) / 1000);
      const lifetimeSeconds = Math.max(1, Math.min(ADDRESS_SECONDS, leftSeconds));
      const expiresAt = new Date(Date.now() + lifetimeSeconds * 1000).toISOString();
      return Promise.all(
        parts.map(async ({ number, digest }) => {
          const sizeBytes = partSizeOf(row, number);
          const { url, headers } = await bucket.sign(begun, { number, digest, sizeBytes }, lifetimeSeconds);
          return { number, url, headers: { ...headers }, sizeBytes, expiresAt };
        }),
      );
    },
    finish: async (id, parts) => {
      const held = await holdUpload(locks, id);
      try {
        const row = await rowOf(id);
        if (row.finishedAt !== null) return toDirectUpload(row);
        const all = requireAllParts(row, parts);
        await bucket.join(begunUpload(row), all);
        const digest = await check(row, all).catch(async (error) => {
          if (isRefusal(error)) await removeUpload(db, bucket, row);
          throw error;
        });
        const finished = { digest, finishedAt: new Date() };
        const { count } = await db.upload.updateMany({ where: { id, token: held.token }, data: finished });
        if (count === 1) return toDirectUpload({ ...row, ...finished });
        // This process was away for so long that it lost the lock.
        if ((await find(id)) === null) await bucket.remove({ id, bucketUpload: null });
        throw lockedUpload(id);
      } finally {
        await held.release();
      }
    },
    open: (id) => bucket.open(id),
    delete: async (id) => {
      const held = await holdUpload(locks, id);
      try {
        await removeUpload(db, bucket, await rowOf(id));
      } finally {
        await held.release();
      }
    },
  };
}
