import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import type { BlobStorage } from '../blobs/blob-storage.js';

export const MIB = 1 << 20;

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

/** A stream of a text. */
export const textStream = (text: string): Readable => Readable.from([Buffer.from(text)]);
/** `sha256:<hex>` of the bytes. */
export const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** What lies in the staging folders below the folder of a storage. */
async function countStaged(blobDir: string): Promise<number> {
  const entries = await readdir(path.join(blobDir, 'staging'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

/** The behaviour of every driver, whose folder `dir` is. */
export function blobContract(storage: () => BlobStorage, dir: () => string): void {
  const stagedFiles = () => countStaged(dir());

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

  it('publishes what was sent ahead, and what was deleted meanwhile', async () => {
    const staged = await storage().stage(textStream('sent ahead'));
    await staged.send();
    await staged.send();
    await storage().delete(staged.digest);
    await staged.publish();
    assert.equal((await buffer(storage().open(staged.digest))).toString(), 'sent ahead');
    assert.equal(await stagedFiles(), 0);
  });

  it('says that there is no such content, and makes no file of it', async () => {
    const digest = digestOf(Buffer.from('never uploaded'));
    assert.equal(await storage().stat(digest), null);
    const target = path.join(dir(), 'nothing');
    await assert.rejects(storage().materialize(digest, target), { code: 'ENOENT' });
    await assert.rejects(stat(target), { code: 'ENOENT' });
    await assert.rejects(buffer(storage().open(digest, { start: 3 })), { code: 'ENOENT' });
  });

  it('lists all published content', async () => {
    const staged = await Promise.all(['a', 'b', 'c'].map((text) => storage().stage(textStream(text))));
    for (const blob of staged) await blob.publish();
    const listed: string[] = [];
    for await (const digest of storage().list()) listed.push(digest);
    assert.deepEqual(listed.sort(), staged.map((blob) => blob.digest).sort());
  });

  it('discards on close what was staged and not published', async () => {
    const staged = await storage().stage(textStream('forgotten'));
    await storage().close();
    await assert.rejects(stat(staged.localPath), { code: 'ENOENT' });
  });

  it('answers a ping', () => storage().ping());
}
