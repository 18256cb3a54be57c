import { paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { asking, type BucketObject } from './bucket-object.js';

/**
 * Names of the objects below a key, behind it, without those that were written lately: what belongs to them may be on its way.
 * @throws TritforgeError SERVICE_UNAVAILABLE
 */
export async function* listSettled({ client, bucket, key }: BucketObject, settleMs: number): AsyncGenerator<string> {
  const settledBefore = Date.now() - settleMs;
  const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: key })[Symbol.asyncIterator]();
  for (;;) {
    const { value: page, done } = await asking(bucket, pages.next());
    if (done) return;
    for (const { Key = '', LastModified } of page.Contents ?? [])
      if ((LastModified?.getTime() ?? 0) <= settledBefore) yield Key.slice(key.length);
  }
}
