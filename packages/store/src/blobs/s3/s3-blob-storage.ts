import { rm } from 'node:fs/promises';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { CONTENT_ROOT, contentPathOf } from '../blob-layout.js';
import type { BlobStorage, StagedBlob } from '../blob-storage.js';
import { linkOrCopy } from '../link-or-copy.js';
import { openStagingArea, type StagedFile } from '../staging-area.js';
import { atMost } from './at-most.js';
import { asking, type BucketObject, remove, sizeOf } from './bucket-object.js';
import { download } from './download.js';
import { listSettled } from './list-settled.js';
import { streamOf } from './read-object.js';
import { createS3Client } from './s3-client.js';
import { S3_TIMING, type S3Config } from './s3-config.js';
import { sendObject } from './send-object.js';

/** Files that one process sends at once: each takes memory for some of its parts. */
const FILES_AT_ONCE = 4;
const SHARDED_HEX = /^([0-9a-f]{2})\/(\1[0-9a-f]{62})$/;

/**
 * Opens the blobs in a bucket, below a prefix. Content is staged in `blobDir` of the local disk, which processes need not share, and is an
 * object only when all of it has arrived and is hashed.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE when the bucket cannot be listed or written to, STORAGE_FULL
 */
export async function openS3BlobStorage(config: S3Config, blobDir: string): Promise<BlobStorage> {
  const { bucket, prefix, timing } = config;
  const { pingMs, settleMs } = { ...S3_TIMING, ...timing };
  const client = createS3Client(config);
  const objectOf = (digest: string): BucketObject => ({ client, bucket, key: `${prefix}${contentPathOf(digest)}` });
  const root = { client, bucket, key: `${prefix}${CONTENT_ROOT}/` };
  try {
    await list(root);
    await probe({ client, bucket, key: `${prefix}probe` });
  } catch (error) {
    client.destroy();
    throw error;
  }
  const staging = await openStagingArea(blobDir);
  const inTurn = atMost(FILES_AT_ONCE);
  const staged = (file: StagedFile) => {
    const object = objectOf(file.digest);
    return stagedBlob(file, object, () => inTurn(() => sendObject(object, file)));
  };

  return {
    stage: async (source, options = {}) => staged(await staging.receive(source, options)),
    putFile: async (file, options = {}) => staged(await staging.takeOver(file, options)),
    stat: async (digest) => {
      const sizeBytes = await sizeOf(objectOf(digest));
      return sizeBytes === null ? null : { sizeBytes };
    },
    open: (digest, range = {}) => streamOf(objectOf(digest), range),
    materialize: (digest, targetPath) => download(objectOf(digest), digest, targetPath),
    delete: (digest) => remove(objectOf(digest)),
    list: () => listDigests(root, settleMs),
    ping: async () => {
      await staging.ping();
      await list(root, AbortSignal.timeout(pingMs));
    },
    close: async () => {
      await staging.close();
      client.destroy();
    },
  };
}

function stagedBlob(
  { localPath, digest, sizeBytes }: StagedFile,
  object: BucketObject,
  sendAll: () => Promise<void>,
): StagedBlob {
  const send = async (): Promise<void> => {
    if ((await sizeOf(object)) !== sizeBytes) await sendAll();
  };
  const discard = () => rm(localPath, { force: true });
  return {
    digest,
    sizeBytes,
    localPath,
    linkTo: (targetPath) => linkOrCopy(localPath, targetPath),
    send,
    publish: async () => {
      await send();
      await discard();
    },
    discard,
  };
}

/** Asks for one key below another: the cheapest request whose error says what is wrong. */
async function list({ client, bucket, key }: BucketObject, signal?: AbortSignal): Promise<void> {
  const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 });
  await asking(bucket, client.send(command, { ...(signal && { abortSignal: signal }) }));
}

/** Writes an object and deletes it again. */
async function probe(object: BucketObject): Promise<void> {
  const { client, bucket, key } = object;
  await asking(bucket, client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'probe' })));
  await remove(object);
}

async function* listDigests(root: BucketObject, settleMs: number): AsyncIterable<string> {
  for await (const name of listSettled(root, settleMs)) {
    const hex = SHARDED_HEX.exec(name)?.[2];
    if (hex !== undefined) yield `sha256:${hex}`;
  }
}
