import { S3Client } from '@aws-sdk/client-s3';
import { S3_TIMING, type S3Connection } from './s3-config.js';

/** What a request is tried in all: answers that ask for patience, server errors and connections that fail. Delays double, with jitter. */
const MAX_ATTEMPTS = 4;
/**
 * Requests to one host at once. A download has a connection for as long as its client reads, and a request that waits for one counts as
 * one that cannot connect.
 */
const MAX_SOCKETS = 1024;
/** What services other than AWS take for any region. */
const ANY_REGION = 'us-east-1';

/** A client of the service that buckets are in. Connects when it is used. */
export function createS3Client({ endpoint, region, addressing, timing }: S3Connection): S3Client {
  const { connectMs, idleMs } = { ...S3_TIMING, ...timing };
  const knownRegion = region ?? (endpoint === null ? null : ANY_REGION);
  return new S3Client({
    ...(endpoint !== null && { endpoint }),
    ...(knownRegion !== null && { region: knownRegion }),
    forcePathStyle: addressing === 'path' || (addressing === 'auto' && endpoint !== null),
    // Uploads bring SHA-256 sums of their own, and downloads are compared with digests. Those that the SDK adds by itself frame
    // streams in a way that not every service undoes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: MAX_ATTEMPTS,
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout: connectMs,
      socketTimeout: idleMs,
      httpAgent: { maxSockets: MAX_SOCKETS },
      httpsAgent: { maxSockets: MAX_SOCKETS },
    },
  });
}
