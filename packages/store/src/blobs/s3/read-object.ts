import { Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { BlobRange } from '../blob-storage.js';
import type { BucketObject } from './bucket-object.js';
import { isMissing, missingObject, s3Error } from './s3-errors.js';

/** How often an answer that breaks off is asked for again without a byte in between. */
const MAX_RESUMPTIONS = 3;

/** An answer that has begun. */
interface Answer {
  readonly body: Readable;
  /** Offset behind the last byte that was asked for, in the object. */
  readonly endBytes: number;
}

/**
 * Reads an object, or a range of it, chunk by chunk as it is consumed. An answer that breaks off is gone on with behind what has arrived, so
 * the content of the key must not change, or the object must have an etag.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE; an Error with the code ENOENT when there is no such object
 */
export async function* readObject(
  object: BucketObject,
  { start = 0, end }: BlobRange,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let position = start;
  for (let failures = 0; ; failures++) {
    const { body, endBytes } = await ask(object, position, end, signal);
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        // Some servers send more than the range that was asked for.
        if (position >= endBytes) return;
        yield chunk.subarray(0, endBytes - position);
        position += chunk.byteLength;
        failures = 0;
      }
      return;
    } catch (error) {
      if (position >= endBytes) return;
      if (signal.aborted || failures === MAX_RESUMPTIONS) throw s3Error(error, object.bucket);
    }
  }
}

/** A stream that reads when it is read from, and ends its request when it is destroyed. */
export function streamOf(object: BucketObject, range: BlobRange): Readable {
  const abort = new AbortController();
  const content = Readable.from(readObject(object, range, abort.signal), { objectMode: false });
  return content.once('close', () => abort.abort());
}

async function ask(
  { client, bucket, key, etag }: BucketObject,
  start: number,
  end: number | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const range = start > 0 || end !== undefined ? { Range: `bytes=${start}-${end ?? ''}` } : {};
  const version = etag === undefined ? {} : { IfMatch: etag };
  const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...range, ...version });
  const { Body, ContentLength, ContentRange } = await client.send(command, { abortSignal: signal }).catch((error) => {
    throw isMissing(error) ? missingObject(key) : s3Error(error, bucket);
  });
  const body = Body as Readable;
  if (start > 0 && !ContentRange?.startsWith(`bytes ${start}-`)) {
    body.destroy();
    throw s3Error(new Error(`asked for bytes from ${start}, the answer has ${ContentRange ?? 'all'}`), bucket);
  }
  const lastBytes = start + (ContentLength ?? Number.POSITIVE_INFINITY);
  return { body, endBytes: end === undefined ? lastBytes : Math.min(end + 1, lastBytes) };
}
