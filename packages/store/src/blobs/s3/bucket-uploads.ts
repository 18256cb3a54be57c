/**
 * Uploads that clients send straight to a bucket: multipart uploads of S3 whose parts the service signs one by one.
 *
 *   begin    the bucket makes room for parts; with a SHA-256 of each, which it checks as they arrive
 *   sign     an address that takes these bytes alone: length and SHA-256 are part of the signature
 *   join     an object of all parts, at `<prefix>uploads/<id>`
 *   check    what the object has is what was announced
 */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { isId, TritforgeError } from '@tritforge/contracts';
import { hexOf, UPLOADS_ROOT } from '../blob-layout.js';
import { atMost } from './at-most.js';
import { asking, type BucketObject, remove, sizeOf } from './bucket-object.js';
import { type Announced, checkContent, type UploadPart } from './check-content.js';
import { listSettled } from './list-settled.js';
import { streamOf } from './read-object.js';
import { createS3Client } from './s3-client.js';
import { S3_TIMING, type S3Config } from './s3-config.js';
import { s3Error } from './s3-errors.js';

const CHECKSUM = 'x-amz-checksum-sha256';
/** Objects that one process reads at once to check them. */
const CHECKS_AT_ONCE = 4;

/** An upload, and what the bucket calls it. */
export interface BucketUpload {
  readonly id: string;
  /** Null of the object that came of it, and where the bucket has none yet. */
  readonly bucketUpload: string | null;
}

/** An upload that the bucket waits for. */
export interface BegunUpload extends BucketUpload {
  readonly bucketUpload: string;
}

/** A part that is to be sent. */
interface SizedPart extends UploadPart {
  readonly sizeBytes: number;
}

/** A part that the bucket has, by its own word. */
export interface SentPart extends UploadPart {
  readonly etag: string;
}

/** Where a part is sent to, by PUT. */
export interface SignedAddress {
  readonly url: string;
  /** To be sent with it. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Each throws TritforgeError SERVICE_UNAVAILABLE when the bucket cannot be reached or refuses. */
export interface BucketUploads {
  /** Whether clients reach the bucket. */
  readonly isOffered: boolean;
  /** Begins an upload; returns what the bucket calls it. @throws TritforgeError STORAGE_FULL */
  begin(id: string): Promise<string>;
  /** Asks nobody. @param lifetimeSeconds of the address */
  sign(upload: BegunUpload, part: SizedPart, lifetimeSeconds: number): Promise<SignedAddress>;
  /**
   * Makes an object of the parts, in the order of their numbers; does nothing where there is one already.
   * @throws TritforgeError UPLOAD_UNFINISHED where the bucket does not have the parts, UPLOAD_NOT_FOUND where it does not know the upload
   */
  join(upload: BegunUpload, parts: readonly SentPart[]): Promise<void>;
  /** The size of the object, or null when there is none. */
  sizeOf(id: string): Promise<number | null>;
  /** Reads the object. The stream fails with ENOENT when there is none. */
  open(id: string): Readable;
  /** Reads the object once, see `checkContent`; some at a time, others wait. @throws TritforgeError DIGEST_MISMATCH */
  check(id: string, announced: Announced): Promise<string>;
  /** Deletes the object, or where the bucket has a name for the upload its parts; does nothing when there are none. */
  remove(upload: BucketUpload): Promise<void>;
  /** All that is there, without what began lately, and without what others have put there. */
  list(): AsyncIterable<BucketUpload>;
  close(): void;
}

/** Connects when it is used. */
export function openBucketUploads(config: S3Config): BucketUploads {
  const { bucket, prefix, endpoint, publicEndpoint, timing } = config;
  const { settleMs } = { ...S3_TIMING, ...timing };
  const client = createS3Client(config);
  const isOffered = publicEndpoint !== 'none';
  const signer = createS3Client({ ...config, endpoint: isOffered ? (publicEndpoint ?? endpoint) : endpoint });
  const root = { client, bucket, key: `${prefix}${UPLOADS_ROOT}/` };
  const objectOf = (id: string): BucketObject => ({ ...root, key: `${root.key}${id}` });
  const inTurn = atMost(CHECKS_AT_ONCE);
  const targetOf = (id: string) => ({ Bucket: bucket, Key: objectOf(id).key });

  return {
    isOffered,
    begin: async (id) => {
      const command = new CreateMultipartUploadCommand({ ...targetOf(id), ChecksumAlgorithm: 'SHA256' });
      const { UploadId } = await asking(bucket, client.send(command));
      if (UploadId === undefined) throw s3Error(new Error('the answer names no upload'), bucket);
      return UploadId;
    },
    sign: async ({ id, bucketUpload }, { number, digest, sizeBytes }, lifetimeSeconds) => {
      const ChecksumSHA256 = base64Of(digest);
      const part = { UploadId: bucketUpload, PartNumber: number, ContentLength: sizeBytes, ChecksumSHA256 };
      // As a header it is compared with the bytes; as a part of the address not every service would.
      const options = { expiresIn: lifetimeSeconds, unhoistableHeaders: new Set([CHECKSUM]) };
      const command = new UploadPartCommand({ ...targetOf(id), ...part });
      const url = await asking(bucket, getSignedUrl(signer, command, options));
      return { url, headers: { [CHECKSUM]: ChecksumSHA256 } };
    },
    join: async ({ id, bucketUpload }, parts) => {
      const Parts = parts
        .toSorted((left, right) => left.number - right.number)
        .map(({ number, etag, digest }) => ({ PartNumber: number, ETag: etag, ChecksumSHA256: base64Of(digest) }));
      const command = new CompleteMultipartUploadCommand({
        ...targetOf(id),
        UploadId: bucketUpload,
        MultipartUpload: { Parts },
      });
      try {
        await client.send(command);
      } catch (error) {
        const { name } = error as Error;
        // An earlier call may have joined them, whose answer or process was lost.
        if (name === 'NoSuchUpload' && (await sizeOf(objectOf(id))) !== null) return;
        throw joinError(error, id, bucket);
      }
    },
    sizeOf: (id) => sizeOf(objectOf(id)),
    open: (id) => streamOf(objectOf(id), {}),
    check: (id, announced) => inTurn(() => checkContent(streamOf(objectOf(id), {}), announced)),
    remove: ({ id, bucketUpload }) =>
      bucketUpload === null ? remove(objectOf(id)) : abort(objectOf(id), bucketUpload),
    list: async function* () {
      for await (const id of listSettled(root, settleMs)) if (isId('upload', id)) yield { id, bucketUpload: null };
      for await (const upload of listUnfinished(root, settleMs)) if (isId('upload', upload.id)) yield upload;
    },
    close: () => {
      client.destroy();
      signer.destroy();
    },
  };
}

function base64Of(digest: string): string {
  return Buffer.from(hexOf(digest), 'hex').toString('base64');
}

async function abort({ client, bucket, key }: BucketObject, bucketUpload: string): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: bucketUpload });
  await client.send(command).catch((error) => {
    if ((error as Error).name !== 'NoSuchUpload') throw s3Error(error, bucket);
  });
}

async function* listUnfinished({ client, bucket, key }: BucketObject, settleMs: number): AsyncGenerator<BucketUpload> {
  const settledBefore = Date.now() - settleMs;
  for (let from = {}; ; ) {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key, ...from });
    const { Uploads = [], IsTruncated, NextKeyMarker, NextUploadIdMarker } = await asking(bucket, client.send(command));
    for (const { Key = '', UploadId = null, Initiated } of Uploads)
      if ((Initiated?.getTime() ?? 0) <= settledBefore) yield { id: Key.slice(key.length), bucketUpload: UploadId };
    if (!IsTruncated) return;
    from = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
}

function joinError(error: unknown, id: string, bucket: string): TritforgeError {
  const { name } = error as Error;
  if (name === 'NoSuchUpload') {
    return new TritforgeError('UPLOAD_NOT_FOUND', `The bucket does not know the upload ${id} any more`, {
      remediation: 'It was deleted there, perhaps by a lifecycle rule: make a new one by POST /uploads/direct.',
      cause: error,
    });
  }
  if (name !== 'InvalidPart' && name !== 'BadDigest') return s3Error(error, bucket);
  return new TritforgeError('UPLOAD_UNFINISHED', `The bucket does not have all parts of the upload ${id} as listed`, {
    field: 'parts',
    remediation: 'Send the parts that are missing, and list each with the ETag of the last answer to it.',
    cause: error,
  });
}
