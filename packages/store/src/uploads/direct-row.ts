import { type DirectUpload, MAX_UPLOAD_PARTS, TritforgeError } from '@tritforge/contracts';
import type { BegunUpload } from '../blobs/s3/bucket-uploads.js';
import type { Upload } from '../generated/client.js';

/** The rows of uploads that go straight to the bucket. */
export const DIRECT = { partBytes: { not: null } } as const;
/** One of them. */
export type DirectRow = Upload & { readonly partBytes: bigint };

const MIB = 2 ** 20;
/** Large enough that requests do not matter, small enough to be sent again. S3 takes no less than 5 MiB. */
const PART_BYTES = 8 * MIB;

/** How large the parts of a file are: whole MiB, and not more of them than there may be. */
export function partBytesOf(sizeBytes: number): number {
  return Math.max(PART_BYTES, Math.ceil(sizeBytes / MAX_UPLOAD_PARTS / MIB) * MIB);
}

export function partCountOf({ sizeBytes, partBytes }: DirectRow): number {
  return Math.ceil(Number(sizeBytes) / Number(partBytes));
}

/** Bytes of a part. @param number from 1 */
export function partSizeOf({ sizeBytes, partBytes }: DirectRow, number: number): number {
  return Math.min(Number(partBytes), Number(sizeBytes) - (number - 1) * Number(partBytes));
}

export function toDirectUpload(row: DirectRow): DirectUpload {
  const { filename = null } = row.metadata as { readonly filename?: string };
  return {
    id: row.id,
    fileName: filename,
    sizeBytes: Number(row.sizeBytes),
    digest: row.digest,
    partBytes: Number(row.partBytes),
    parts: partCountOf(row),
    finishedAt: row.finishedAt?.toISOString() ?? null,
    expiresAt: row.expiresAt.toISOString(),
  };
}

/** @throws TritforgeError UPLOAD_NOT_FOUND where the bucket does not know it: nobody was told of the upload */
export function begunUpload({ id, bucketUpload }: DirectRow): BegunUpload {
  return bucketUpload === null ? uploadNotFound(id) : { id, bucketUpload };
}

/** @throws TritforgeError UPLOAD_NOT_FOUND */
export function uploadNotFound(id: string): never {
  throw new TritforgeError('UPLOAD_NOT_FOUND', `There is no upload ${id}.`, {
    remediation: 'It may have expired or been deleted: make a new one by POST /uploads/direct.',
  });
}
