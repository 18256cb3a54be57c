/** What of direct uploads nobody needs any more. */
import type { BucketUploads } from '../blobs/s3/bucket-uploads.js';
import type { PrismaClient, Upload } from '../generated/client.js';
import { ALL_PROJECTS } from '../repositories/reach.js';
import { DIRECT } from './direct-row.js';
import { createUploadLocks } from './upload-locks.js';

/** Expired uploads deleted in one sweep. */
const SWEEP_LIMIT = 20;

/**
 * Deletes uploads that have expired, except those that somebody works on; returns how many.
 * @param bucket null where there is none any more: what they left in it is left to its rules
 */
export async function sweepDirectUploads(db: PrismaClient, bucket: BucketUploads | null): Promise<number> {
  const locks = createUploadLocks(db, ALL_PROJECTS);
  const where = { ...DIRECT, expiresAt: { lte: new Date() } };
  let deleted = 0;
  for (const row of await db.upload.findMany({ where, take: SWEEP_LIMIT })) {
    // Another worker may have been quicker, or somebody finishes it.
    const token = await locks.take(row.id).catch(() => null);
    if (token === null) continue;
    try {
      await removeUpload(db, bucket, row);
      deleted++;
    } finally {
      await locks.release(row.id, token);
    }
  }
  return deleted;
}

/** Deletes what is in the bucket without a row, which a crash between both can leave. Returns how much that is. */
export async function sweepBucket(db: PrismaClient, bucket: BucketUploads): Promise<number> {
  let deleted = 0;
  for await (const found of bucket.list()) {
    const row = await db.upload.findUnique({ where: { id: found.id }, select: { bucketUpload: true } });
    if (row !== null && [null, row.bucketUpload].includes(found.bucketUpload)) continue;
    await bucket.remove(found);
    deleted++;
  }
  return deleted;
}

/** Deletes an upload whose lock the caller holds. The bucket first: what is left of it is found by the row. */
export async function removeUpload(
  db: PrismaClient,
  bucket: BucketUploads | null,
  { id, bucketUpload }: Upload,
): Promise<void> {
  if (bucketUpload !== null) await bucket?.remove({ id, bucketUpload });
  await bucket?.remove({ id, bucketUpload: null });
  await db.upload.deleteMany({ where: { id } });
}
