import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { hexOf } from '../blob-layout.js';
import type { StagedFile } from '../staging-area.js';
import { asking, type BucketObject } from './bucket-object.js';

/** A larger file is sent in parts of this size. What is held of a file in memory is this times the parts at once. */
const PART_BYTES = 8 * 2 ** 20;
const PARTS_AT_ONCE = 4;
/** S3 takes no more. */
const MAX_PARTS = 10_000;

/**
 * Writes a file to a bucket, at once or not at all. The server is sent the SHA-256 of the file, or of each part of a large one, and refuses
 * bytes that have another (servers that do not know these sums ignore them). When a large file cannot be sent, its parts are given up.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE, STORAGE_FULL
 */
export async function sendObject({ client, bucket, key }: BucketObject, file: StagedFile): Promise<void> {
  const target = { Bucket: bucket, Key: key };
  if (file.sizeBytes <= PART_BYTES) {
    const Body = await readFile(file.localPath);
    const ChecksumSHA256 = Buffer.from(hexOf(file.digest), 'hex').toString('base64');
    await asking(bucket, client.send(new PutObjectCommand({ ...target, Body, ChecksumSHA256 })));
    return;
  }
  const Body = createReadStream(file.localPath, { highWaterMark: 2 ** 20 });
  const upload = new Upload({
    client,
    params: { ...target, Body, ChecksumAlgorithm: 'SHA256' },
    partSize: Math.max(PART_BYTES, Math.ceil(file.sizeBytes / MAX_PARTS)),
    queueSize: PARTS_AT_ONCE,
  });
  try {
    await asking(bucket, upload.done());
  } finally {
    Body.destroy();
  }
}
