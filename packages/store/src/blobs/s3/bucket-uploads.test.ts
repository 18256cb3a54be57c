/** What a bucket makes of uploads that come in parts, by the server of the tests. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { type ErrorCode, newId } from '@tritforge/contracts';
import { makeTestDir } from '../../testing/index.js';
import { startTestS3, type TestS3 } from '../../testing/s3-server.js';
import { type BegunUpload, type BucketUploads, openBucketUploads, type SentPart } from './bucket-uploads.js';
import type { S3Config } from './s3-config.js';

const PART_BYTES = 5 * 2 ** 20;
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('uploads to a bucket', () => {
  let dir: string;
  let s3: TestS3;
  let config: S3Config;
  let uploads: BucketUploads;
  before(async () => {
    dir = await makeTestDir();
    s3 = await startTestS3(path.join(dir, 's3'));
    Object.assign(process.env, s3.credentials);
    const connection = { endpoint: s3.endpoint, publicEndpoint: null, region: null, addressing: 'auto' } as const;
    config = { bucket: s3.bucket, prefix: 'team/', ...connection, timing: { settleMs: 0 } };
    uploads = openBucketUploads(config);
  });
  after(async () => {
    uploads.close();
    await s3.close();
    await rm(dir, { recursive: true, force: true });
  });

  async function begun(): Promise<BegunUpload> {
    const id = newId('upload');
    return { id, bucketUpload: await uploads.begin(id) };
  }

  async function sent(upload: BegunUpload, number: number, bytes: Buffer): Promise<SentPart> {
    const part = { number, digest: digestOf(bytes), sizeBytes: bytes.length };
    const { url, headers } = await uploads.sign(upload, part, 60);
    const response = await fetch(url, { method: 'PUT', headers, body: bytes });
    assert.equal(response.status, 200, await response.text());
    return { number, digest: part.digest, etag: response.headers.get('etag') ?? '' };
  }

  const listed = async () => {
    const found: string[] = [];
    for await (const { id, bucketUpload } of uploads.list()) found.push(`${id} ${bucketUpload ?? 'object'}`);
    return found.sort();
  };
  const refused = (work: Promise<unknown>, code: ErrorCode) => assert.rejects(work, { code });

  it('joins parts in the order of their numbers, also when it is asked again', async () => {
    const content = randomBytes(PART_BYTES + 10);
    const upload = await begun();
    assert.deepEqual(await listed(), [`${upload.id} ${upload.bucketUpload}`]);
    assert.equal(await uploads.sizeOf(upload.id), null);
    const second = await sent(upload, 2, content.subarray(PART_BYTES));
    const first = await sent(upload, 1, content.subarray(0, PART_BYTES));
    await uploads.join(upload, [second, first]);
    await uploads.join(upload, [second, first]);
    assert.deepEqual(await buffer(uploads.open(upload.id)), content);
    assert.equal(await uploads.sizeOf(upload.id), content.length);
    assert.deepEqual(await listed(), [`${upload.id} object`]);
    const announced = { parts: [first, second], partBytes: PART_BYTES, digest: null };
    assert.equal(await uploads.check(upload.id, announced), digestOf(content));
    await refused(uploads.check(upload.id, { ...announced, digest: digestOf(randomBytes(3)) }), 'DIGEST_MISMATCH');
    await uploads.remove({ ...upload, bucketUpload: null });
    assert.deepEqual(await listed(), []);
  });

  it('says that parts are missing or others, and takes them later', async () => {
    const upload = await begun();
    const bytes = randomBytes(100);
    const unknown = { number: 1, digest: digestOf(bytes), etag: '"0123"' };
    await refused(uploads.join(upload, [unknown]), 'UPLOAD_UNFINISHED');
    const part = await sent(upload, 1, bytes);
    await refused(uploads.join(upload, [{ ...part, etag: '"0123"' }]), 'UPLOAD_UNFINISHED');
    await uploads.join(upload, [part]);
    await uploads.remove({ ...upload, bucketUpload: null });
  });

  it('removes parts and objects, also when there are none, and then knows the upload no more', async () => {
    const upload = await begun();
    const part = await sent(upload, 1, randomBytes(100));
    for (let i = 0; i < 2; i++) {
      await uploads.remove(upload);
      await uploads.remove({ ...upload, bucketUpload: null });
    }
    assert.deepEqual(await listed(), []);
    assert.deepEqual(await s3.unfinishedParts(), []);
    await refused(uploads.join(upload, [part]), 'UPLOAD_NOT_FOUND');
    await assert.rejects(buffer(uploads.open(upload.id)), { code: 'ENOENT' });
  });

  it('signs length and digest, for a time, for the address by which clients reach the bucket', async () => {
    const upload = await begun();
    const part = { number: 7, digest: digestOf(randomBytes(3)), sizeBytes: 1234 };
    const apart = openBucketUploads({ ...config, publicEndpoint: 'https://files.example.com' });
    const { url, headers } = await apart.sign(upload, part, 90);
    const { origin, pathname, searchParams } = new URL(url);
    assert.deepEqual([origin, pathname], ['https://files.example.com', `/${s3.bucket}/team/uploads/${upload.id}`]);
    assert.deepEqual([searchParams.get('partNumber'), searchParams.get('X-Amz-Expires')], ['7', '90']);
    assert.equal(searchParams.get('X-Amz-SignedHeaders'), 'content-length;host;x-amz-checksum-sha256');
    const sum = Buffer.from(part.digest.slice('sha256:'.length), 'hex').toString('base64');
    assert.deepEqual(headers, { 'x-amz-checksum-sha256': sum });
    apart.close();
    const closed = openBucketUploads({ ...config, publicEndpoint: 'none' });
    assert.deepEqual([uploads.isOffered, apart.isOffered, closed.isOffered], [true, true, false]);
    closed.close();
    await uploads.remove(upload);
  });

  it('leaves out of its list what began lately, and what is not below its prefix', async () => {
    const upload = await begun();
    const careful = openBucketUploads({ ...config, timing: { settleMs: 60_000 } });
    for await (const { id } of careful.list()) assert.fail(`${id} may be on its way`);
    const other = openBucketUploads({ ...config, prefix: '' });
    for await (const { id } of other.list()) assert.fail(`${id} is not below the prefix`);
    careful.close();
    other.close();
    assert.deepEqual(await listed(), [`${upload.id} ${upload.bucketUpload}`]);
    await uploads.remove(upload);
  });
});
