import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { TritforgeError } from '@tritforge/contracts';
import { blobContract, digestOf, MIB, textStream } from '../../testing/blob-contract.js';
import { type Fate, startProxy, type TestProxy } from '../../testing/http-proxy.js';
import { makeTestDir } from '../../testing/index.js';
import { startTestS3, type TestS3 } from '../../testing/s3-server.js';
import type { BlobStorage } from '../blob-storage.js';
import { openS3BlobStorage } from './s3-blob-storage.js';
import { createS3Client } from './s3-client.js';
import type { S3Config } from './s3-config.js';

describe('blob storage in a bucket', () => {
  let dir: string;
  let s3: TestS3;
  let config: S3Config;
  let blobDir: string;
  let storage: BlobStorage;
  let proxy: TestProxy;

  before(async () => {
    dir = await makeTestDir();
    s3 = await startTestS3(path.join(dir, 's3'));
    Object.assign(process.env, s3.credentials);
    proxy = await startProxy(s3.endpoint);
  });
  after(async () => {
    await proxy.close();
    await s3.close();
    await rm(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    const name = randomBytes(4).toString('hex');
    blobDir = path.join(dir, `blobs-${name}`);
    config = {
      bucket: s3.bucket,
      prefix: `team/${name}/`,
      endpoint: s3.endpoint,
      publicEndpoint: null,
      region: null,
      addressing: 'auto',
      timing: { settleMs: 0 },
    };
    storage = await openS3BlobStorage(config, blobDir);
  });
  afterEach(() => storage.close());

  blobContract(
    () => storage,
    () => blobDir,
  );

  /** Opens the same storage through the proxy. */
  async function throughProxy(judge: (request: IncomingMessage) => Fate, timing = {}): Promise<BlobStorage> {
    proxy.judge = () => 'pass';
    const watched = await openS3BlobStorage({ ...config, endpoint: proxy.endpoint, timing }, blobDir);
    proxy.judge = judge;
    return watched;
  }

  const folderOfPrefix = () => path.join(s3.dir, s3.bucket, config.prefix);
  const isPart = ({ method, url = '' }: IncomingMessage) => method === 'PUT' && url.includes('partNumber=');

  it('sends a large file in parts, each with its checksum, and a small one with its digest', async () => {
    const sums: string[] = [];
    const watched = await throughProxy((request) => {
      if (request.method === 'PUT') sums.push(String(request.headers['x-amz-checksum-sha256']));
      return 'pass';
    });
    const bytes = randomBytes(20 * MIB + 3);
    const large = await watched.stage(Readable.from([bytes]));
    await large.publish();
    const parts = [0, 8, 16].map((start) => bytes.subarray(start * MIB, (start + 8) * MIB));
    const sha256Of = (content: Buffer) =>
      Buffer.from(digestOf(content).slice('sha256:'.length), 'hex').toString('base64');
    assert.deepEqual(sums.sort(), parts.map(sha256Of).sort());
    assert.deepEqual(await buffer(storage.open(large.digest)), bytes);
    sums.length = 0;
    const small = await watched.stage(textStream('small'));
    await small.publish();
    assert.deepEqual(sums, [sha256Of(Buffer.from('small'))]);
    await watched.close();
  });

  it('sends nothing that is there already', async () => {
    const first = await storage.stage(textStream('known'));
    await first.publish();
    const methods: (string | undefined)[] = [];
    const watched = await throughProxy(({ method }) => {
      methods.push(method);
      return 'pass';
    });
    const again = await watched.stage(textStream('known'));
    await again.publish();
    assert.deepEqual(methods, ['HEAD']);
    await watched.close();
  });

  it('gives up the parts of a large file that cannot be sent, and sends it when asked again', async () => {
    const watched = await throughProxy((request) =>
      isPart(request) && request.url?.includes('partNumber=3') ? { status: 403, code: 'AccessDenied' } : 'pass',
    );
    const bytes = randomBytes(30 * MIB);
    const staged = await watched.stage(Readable.from([bytes]));
    await assert.rejects(staged.publish(), { code: 'SERVICE_UNAVAILABLE', message: /refuses access \(AccessDenied\)/ });
    assert.deepEqual(await s3.unfinishedParts(), []);
    assert.equal(await storage.stat(staged.digest), null);
    proxy.judge = () => 'pass';
    await staged.publish();
    assert.deepEqual(await buffer(storage.open(staged.digest)), bytes);
    await watched.close();
  });

  it('holds no more of a large file in memory than a few parts', async () => {
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss - before);
    }, 5);
    const chunk = randomBytes(MIB);
    const staged = await storage.stage(Readable.from(Array.from({ length: 256 }, () => chunk)));
    await staged.publish();
    await storage.materialize(staged.digest, path.join(blobDir, 'large'));
    clearInterval(watch);
    assert.ok(most < 160 * MIB, `memory grew by ${Math.round(most / MIB)} MiB`);
  });

  it('goes on with a download that breaks off', async () => {
    const bytes = randomBytes(3 * MIB);
    const staged = await storage.stage(Readable.from([bytes]));
    await staged.publish();
    const ranges: (string | undefined)[] = [];
    const watched = await throughProxy(({ headers }) => {
      ranges.push(headers.range);
      return ranges.length < 3 ? { cutAfterBytes: MIB } : 'pass';
    });
    assert.deepEqual(await buffer(watched.open(staged.digest)), bytes);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? '', /^bytes=\d+-$/);
    ranges.length = 0;
    assert.deepEqual(
      await buffer(watched.open(staged.digest, { start: 5, end: 2 * MIB })),
      bytes.subarray(5, 2 * MIB + 1),
    );
    assert.equal(ranges[0], `bytes=5-${2 * MIB}`);
    await watched.close();
  });

  it('ends its request when nobody reads on', async () => {
    const staged = await storage.stage(Readable.from([randomBytes(16 * MIB)]));
    await staged.publish();
    let isOver: Promise<unknown> = Promise.resolve();
    const watched = await throughProxy(({ socket }) => {
      isOver = new Promise((resolve) => socket.once('close', resolve));
      return 'pass';
    });
    const content = watched.open(staged.digest);
    for await (const chunk of content) {
      assert.ok(chunk.length > 0);
      break;
    }
    await isOver;
    await watched.close();
  });

  it('tells by the digest that other bytes lie in the bucket, and makes no file of them', async () => {
    const staged = await storage.stage(textStream('what was sent'));
    await staged.publish();
    const hex = staged.digest.slice('sha256:'.length);
    const Key = `${config.prefix}sha256/${hex.slice(0, 2)}/${hex}`;
    await createS3Client(config).send(new PutObjectCommand({ Bucket: s3.bucket, Key, Body: 'what was kept' }));
    const target = path.join(blobDir, 'model.onnx');
    await assert.rejects(storage.materialize(staged.digest, target), { code: 'CONTENT_CORRUPT' });
    await assert.rejects(stat(target), { code: 'ENOENT' });
  });

  it('keeps to its prefix', async () => {
    const staged = await storage.stage(textStream('ours'));
    await staged.publish();
    const other = await openS3BlobStorage({ ...config, prefix: '' }, blobDir);
    assert.equal(await other.stat(staged.digest), null);
    for await (const digest of other.list()) assert.notEqual(digest, staged.digest);
    await other.close();
    const keys = await readdir(folderOfPrefix());
    assert.deepEqual(keys, ['sha256']);
  });

  it('lists more than a page, without other objects and without what was sent lately', async () => {
    const digests = Array.from({ length: 1_100 }, () => digestOf(randomBytes(8)));
    const shardOf = (digest: string) => path.join(folderOfPrefix(), 'sha256', digest.slice(7, 9));
    for (const digest of digests) {
      await mkdir(shardOf(digest), { recursive: true });
      await writeFile(path.join(shardOf(digest), `${digest.slice(7)}._S3rver_object`), 'x');
    }
    await writeFile(path.join(folderOfPrefix(), 'sha256', 'notes.txt._S3rver_object'), 'x');
    const listed: string[] = [];
    for await (const digest of storage.list()) listed.push(digest);
    assert.deepEqual(listed.sort(), digests.sort());
    const careful = await openS3BlobStorage({ ...config, timing: { settleMs: 60_000 } }, blobDir);
    for await (const digest of careful.list()) assert.fail(`${digest} may be on its way`);
    await careful.close();
  });

  it('tries again where the server is busy, and says so when that does not end', async () => {
    let refusals = 2;
    const watched = await throughProxy(() => (refusals-- > 0 ? { status: 503, code: 'SlowDown' } : 'pass'));
    const staged = await watched.stage(textStream('patience'));
    await staged.publish();
    assert.notEqual(await storage.stat(staged.digest), null);
    refusals = Number.POSITIVE_INFINITY;
    await assert.rejects(buffer(watched.open(staged.digest)), {
      code: 'SERVICE_UNAVAILABLE',
      message: `The bucket ${s3.bucket} answered 503 SlowDown.`,
    });
    await watched.close();
  });

  it('says that a server has no space left', async () => {
    const watched = await throughProxy(({ method }) =>
      method === 'PUT' ? { status: 507, code: 'XMinioStorageFull' } : 'pass',
    );
    const staged = await watched.stage(textStream('too much'));
    await assert.rejects(staged.publish(), { code: 'STORAGE_FULL' });
    await staged.discard();
    await watched.close();
  });

  it('says within a time limit that a server does not answer', async () => {
    const watched = await throughProxy(() => 'hang', { idleMs: 200, pingMs: 300 });
    await assert.rejects(watched.ping(), { code: 'SERVICE_UNAVAILABLE', message: /does not answer in time/ });
    await assert.rejects(watched.stat(digestOf(Buffer.from('?'))), {
      code: 'SERVICE_UNAVAILABLE',
      message: /does not answer in time/,
    });
    await watched.close();
  });

  it('says that a server went away, and goes on when it is back', async () => {
    const watched = await throughProxy(() => 'cut');
    const staged = await watched.stage(textStream('through the storm'));
    await assert.rejects(staged.publish(), { code: 'SERVICE_UNAVAILABLE', message: /cannot be reached/ });
    await assert.rejects(watched.ping(), { code: 'SERVICE_UNAVAILABLE' });
    proxy.judge = () => 'pass';
    await staged.publish();
    await watched.ping();
    await watched.close();
  });

  it('opens no bucket that is not there, refuses or cannot be reached, and says which and why', async () => {
    const attempt = (changed: Partial<S3Config>) => openS3BlobStorage({ ...config, ...changed }, blobDir);
    await assert.rejects(attempt({ bucket: 'elsewhere' }), {
      code: 'SERVICE_UNAVAILABLE',
      message: 'The bucket elsewhere does not exist.',
    });
    await assert.rejects(attempt({ endpoint: 'http://127.0.0.1:1' }), {
      message: /cannot be reached \(ECONNREFUSED\)/,
    });
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'somebody', AWS_SECRET_ACCESS_KEY: 'their-secret' });
    try {
      await assert.rejects(attempt({}), (error: TritforgeError) => {
        assert.match(error.message, /refuses access \(InvalidAccessKeyId\)/);
        assert.match(error.context.remediation ?? '', /credentials/);
        assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /their-secret/);
        return true;
      });
    } finally {
      Object.assign(process.env, s3.credentials);
    }
  });
});
