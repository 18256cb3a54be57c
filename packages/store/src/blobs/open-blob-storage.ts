import type { BlobStorage } from './blob-storage.js';
import { openFileBlobStorage } from './file-blob-storage.js';
import type { BucketUploads } from './s3/bucket-uploads.js';
import type { S3Config } from './s3/s3-config.js';

/**
 * Opens the storage of a service: a bucket, or where there is none a folder. The SDK of S3 is loaded only where it is used.
 * @param blobDir created when missing; with a bucket content is staged there
 * @throws TritforgeError SERVICE_UNAVAILABLE when the bucket cannot be reached, refuses or does not exist
 */
export async function openBlobStorage(blobDir: string, s3: S3Config | null): Promise<BlobStorage> {
  if (s3 === null) return openFileBlobStorage(blobDir);
  const { openS3BlobStorage } = await import('./s3/s3-blob-storage.js');
  return openS3BlobStorage(s3, blobDir);
}

/** Opens the uploads that go straight to the bucket of a service; null where it has none. */
export async function openBucketUploads(s3: S3Config | null): Promise<BucketUploads | null> {
  return s3 === null ? null : (await import('./s3/bucket-uploads.js')).openBucketUploads(s3);
}
