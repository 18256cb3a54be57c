import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { TritforgeError } from '@tritforge/contracts';
import { streamOf } from '../blobs/s3/read-object.js';
import { createS3Client } from '../blobs/s3/s3-client.js';
import type { S3Connection } from '../blobs/s3/s3-config.js';
import { isMissing, s3Error } from '../blobs/s3/s3-errors.js';
import type { SourceAddress } from './allowed-sources.js';
import type { SourceFile } from './object-sources.js';

/** Reads objects of any bucket that the credentials of the service reach. */
export interface SourceReader {
  /** @throws TritforgeError SOURCE_NOT_FOUND, SERVICE_UNAVAILABLE */
  open(address: SourceAddress, field: string): Promise<SourceFile>;
  close(): void;
}

export function createSourceReader(connection: S3Connection): SourceReader {
  const client = createS3Client(connection);
  return {
    open: async ({ bucket, key }, field) => {
      const head = client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      const { ContentLength = 0, ETag } = await head.catch((error) => {
        throw sourceError(error, { bucket, key }, field);
      });
      const object = { client, bucket, key, ...(ETag !== undefined && { etag: ETag }) };
      return { fileName: key.slice(key.lastIndexOf('/') + 1), sizeBytes: ContentLength, content: streamOf(object, {}) };
    },
    close: () => client.destroy(),
  };
}

/** To those who may not list a bucket, S3 refuses what is not there. */
function sourceError(error: unknown, { bucket, key }: SourceAddress, field: string): TritforgeError {
  const { $metadata } = error as { readonly $metadata?: { readonly httpStatusCode?: number } };
  if (!isMissing(error) && $metadata?.httpStatusCode !== 403) return s3Error(error, bucket);
  return new TritforgeError(
    'SOURCE_NOT_FOUND',
    `There is no object s3://${bucket}/${key}, or the service may not read it.`,
    {
      field,
      remediation: 'Check the address, and that the operator has given the service access to it.',
      cause: error,
    },
  );
}
