import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { makeTestDir } from '../testing/index.js';
import type { BlobStorage } from './blob-storage.js';
import { openFileBlobStorage } from './file-blob-storage.js';

const MIB = 1 << 20;

/** A stream of `count` chunks that are made when they are asked for; counts how many that were. */
function chunks(count: number, make: (index: number) => Buffer = () => Buffer.alloc(MIB, 7)) {
  const state = { made: 0 };
  const source = Readable.from(
    (function* () {
      for (let i = 0; i < count; i++) {
        state.made++;
        yield make(i);
      }
    })(),
    { objectMode: false, highWaterMark: MIB },
  );
  return { source, state };
}

const textStream = (text: string): Readable => Readable.from([Buffer.from(text)]);
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The behaviour of every driver; `stagedFiles` counts what lies in its staging area. */
function blobContract(storage: () => BlobStorage, stagedFiles: () => Promise<number>, dir: () => string): void {
  it('stages a stream, publishes it under its digest and reads it back', async () => {
    const bytes = randomBytes(3 * MIB + 17);
    const staged = await storage().stage(Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]));
    assert.equal(staged.digest, digestOf(bytes));
    assert.equal(staged.sizeBytes, bytes.length);
    assert.deepEqual(await readFile(staged.localPath), bytes);
    assert.equal(await storage().stat(staged.digest), null);
    await staged.publish();
    await staged.discard();
    assert.deepEqual(await storage().stat(staged.digest), { sizeBytes: bytes.length });
    assert.deepEqual(await buffer(storage().open(staged.digest)), bytes);
    assert.equal(await stagedFiles(), 0);
  });

  it('reads ranges with both ends included', async () => {
    const staged = await storage().stage(textStream('0123456789'));
    await staged.publish();
    const read = async (start?: number, end?: number) =>
      (
        await buffer(
          storage().open(staged.digest, { ...(start !== undefined && { start }), ...(end !== undefined && { end }) }),
        )
      ).toString();
    assert.equal(await read(2, 4), '234');
    assert.equal(await read(7), '789');
    assert.equal(await read(undefined, 0), '0');
  });

  it('holds no more of a large upload in memory than a few chunks', async () => {
    const { source, state } = chunks(256);
    const before = process.memoryUsage();
    let most = 0;
    const watch = setInterval(() => {
      const { rss } = process.memoryUsage();
      most = Math.max(most, rss - before.rss);
    }, 5);
    const staged = await storage().stage(source);
    clearInterval(watch);
    assert.equal(staged.sizeBytes, 256 * MIB);
    assert.equal(state.made, 256);
    assert.ok(most < 100 * MIB, `memory grew by ${Math.round(most / MIB)} MiB`);
    await staged.discard();
    assert.equal(await stagedFiles(), 0);
  });

  it('leaves nothing of an upload that is aborted half way', async () => {
    const abort = new AbortController();
    const { source } = chunks(64, (index) => {
      if (index === 32) abort.abort();
      return Buffer.alloc(MIB);
    });
    await assert.rejects(storage().stage(source, { signal: abort.signal }), { code: 'UPLOAD_INCOMPLETE' });
    assert.equal(source.destroyed, true);
    assert.equal(await stagedFiles(), 0);
  });

  it('leaves nothing of an upload that was aborted before it began', async () => {
    const staging = storage().stage(textStream('late'), { signal: AbortSignal.abort() });
    await assert.rejects(staging, { code: 'UPLOAD_INCOMPLETE' });
    assert.equal(await stagedFiles(), 0);
  });

  it('leaves nothing of an upload whose connection breaks', async () => {
    const broken = chunks(8, (index) => {
      if (index === 5) throw new Error('socket hang up');
      return Buffer.alloc(MIB);
    });
    await assert.rejects(storage().stage(broken.source), { code: 'UPLOAD_INCOMPLETE' });
    const closed = new Readable({ read() {} });
    closed.push('some');
    setTimeout(() => closed.destroy(), 10);
    await assert.rejects(storage().stage(closed), { code: 'UPLOAD_INCOMPLETE' });
    assert.equal(await stagedFiles(), 0);
  });

  it('passes on an error of the source that has a code of its own', async () => {
    const source = new Readable({
      read() {
        this.destroy(new TritforgeError('DIGEST_MISMATCH', 'other bytes than announced'));
      },
    });
    await assert.rejects(storage().stage(source), { code: 'DIGEST_MISMATCH' });
    assert.equal(await stagedFiles(), 0);
  });

  it('refuses an upload over the limit, without reading on and without destroying its source', async () => {
    const { source, state } = chunks(100);
    await assert.rejects(storage().stage(source, { maxBytes: 2 * MIB }), { code: 'UPLOAD_TOO_LARGE' });
    assert.ok(state.made < 10);
    assert.equal(source.destroyed, false);
    source.destroy();
    const exact = await storage().stage(chunks(2).source, { maxBytes: 2 * MIB });
    await exact.discard();
    assert.equal(await stagedFiles(), 0);
  });

  it('refuses an empty upload and an empty file', async () => {
    await assert.rejects(storage().stage(Readable.from([])), { code: 'UPLOAD_EMPTY' });
    const empty = path.join(dir(), 'empty');
    await writeFile(empty, '');
    await assert.rejects(storage().putFile(empty), { code: 'UPLOAD_EMPTY' });
    assert.equal(await stagedFiles(), 0);
  });

  it('takes over a file that exists', async () => {
    const file = path.join(dir(), 'artifact.onnx');
    await writeFile(file, 'artifact');
    const staged = await storage().putFile(file);
    assert.equal(staged.digest, digestOf(Buffer.from('artifact')));
    await assert.rejects(stat(file), { code: 'ENOENT' });
    await staged.publish();
    assert.equal((await buffer(storage().open(staged.digest))).toString(), 'artifact');
    await writeFile(file, 'too long');
    await assert.rejects(storage().putFile(file, { maxBytes: 3 }), { code: 'UPLOAD_TOO_LARGE' });
  });

  it('publishes the same content once, however many upload it at once', async () => {
    const staged = await Promise.all(Array.from({ length: 8 }, () => storage().stage(textStream('same'))));
    await Promise.all(staged.map((blob) => blob.publish()));
    await Promise.all(staged.map((blob) => blob.discard()));
    assert.equal((await buffer(storage().open(staged[0]!.digest))).toString(), 'same');
    assert.equal(await stagedFiles(), 0);
  });

  it('gives content a read-only file of another name', async () => {
    const staged = await storage().stage(textStream('weights'));
    const target = path.join(dir(), 'model.onnx.data');
    await staged.linkTo(target);
    assert.equal(await readFile(target, 'utf8'), 'weights');
    await staged.publish();
    const second = path.join(dir(), 'scratch.onnx');
    await storage().materialize(staged.digest, second);
    assert.equal(await readFile(second, 'utf8'), 'weights');
    assert.equal((await stat(second)).mode & 0o777, 0o444);
    await assert.rejects(storage().materialize(staged.digest, second), { code: 'EEXIST' });
    await rm(second);
    assert.equal((await buffer(storage().open(staged.digest))).toString(), 'weights');
  });

  it('deletes content, also when there is none', async () => {
    const staged = await storage().stage(textStream('short-lived'));
    await staged.publish();
    await storage().delete(staged.digest);
    await storage().delete(staged.digest);
    assert.equal(await storage().stat(staged.digest), null);
    await assert.rejects(buffer(storage().open(staged.digest)), { code: 'ENOENT' });
  });

  it('takes nothing but digests', () => {
    for (const digest of ['', 'sha256:..', '../../etc/passwd', `sha256:${'A'.repeat(64)}`]) {
      assert.throws(() => storage().open(digest), RangeError);
    }
  });

  it('answers a ping', () => storage().ping());
}

describe('blob storage on the file system', () => {
  let dir: string;
  let blobDir: string;
  let storage: BlobStorage;
  before(async () => {
    dir = await makeTestDir();
  });
  after(() => rm(dir, { recursive: true, force: true }));
  beforeEach(async () => {
    blobDir = path.join(dir, `blobs-${randomBytes(4).toString('hex')}`);
    storage = await openFileBlobStorage(blobDir);
  });

  const stagedFiles = async (): Promise<number> => {
    const entries = await readdir(path.join(blobDir, 'staging'), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).length;
  };
  const scratch = (): string => {
    return blobDir;
  };

  blobContract(() => storage, stagedFiles, scratch);

  it('replaces content that a crash left incomplete', async () => {
    const staged = await storage.stage(textStream('complete'));
    const hex = staged.digest.slice('sha256:'.length);
    const shard = path.join(blobDir, 'sha256', hex.slice(0, 2));
    await mkdir(shard, { recursive: true });
    await writeFile(path.join(shard, hex), 'comp');
    await staged.publish();
    assert.equal((await buffer(storage.open(staged.digest))).toString(), 'complete');
  });

  it('lists all published content', async () => {
    const staged = await Promise.all(['a', 'b', 'c'].map((text) => storage.stage(textStream(text))));
    await Promise.all(staged.map((blob) => blob.publish()));
    const listed: string[] = [];
    for await (const digest of storage.list()) listed.push(digest);
    assert.deepEqual(listed.sort(), staged.map((blob) => blob.digest).sort());
  });

  it('removes what a dead process staged, and nothing of a living one', async () => {
    const living = await storage.stage(textStream('living'));
    const dead = path.join(blobDir, 'staging', 'host-1-dead');
    await mkdir(dead);
    await writeFile(path.join(dead, 'half'), 'half');
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(dead, longAgo, longAgo);
    const other = await openFileBlobStorage(blobDir);
    await assert.rejects(stat(dead), { code: 'ENOENT' });
    assert.equal(await readFile(living.localPath, 'utf8'), 'living');
    await other.close();
    await living.publish();
    assert.deepEqual(await storage.stat(living.digest), { sizeBytes: 'living'.length });
  });

  it('discards on close what was staged and not published', async () => {
    const staged = await storage.stage(textStream('forgotten'));
    await storage.close();
    await assert.rejects(stat(staged.localPath), { code: 'ENOENT' });
  });
});
