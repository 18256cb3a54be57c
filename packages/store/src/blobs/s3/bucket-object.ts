import { DeleteObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { isMissing, s3Error } from './s3-errors.js';

/** A place for content: a key of a bucket, and the client that reaches it. */
export interface BucketObject {
  readonly client: S3Client;
  readonly bucket: string;
  readonly key: string;
  /** Which of the objects that the key may have in the course of time; any when left out. */
  readonly etag?: string;
}

/** Passes errors of the SDK on as what they mean for callers. @throws TritforgeError SERVICE_UNAVAILABLE, STORAGE_FULL */
export async function asking<T>(bucket: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    throw s3Error(error, bucket);
  }
}

/** The size of an object, or null when there is none. @throws as {@link asking} */
export async function sizeOf({ client, bucket, key }: BucketObject): Promise<number | null> {
  try {
    const { ContentLength } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    return ContentLength ?? null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw s3Error(error, bucket);
  }
}

/** Deletes an object; does nothing when there is none. @throws as {@link asking} */
export async function remove({ client, bucket, key }: BucketObject): Promise<void> {
  await asking(bucket, client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })));
}
