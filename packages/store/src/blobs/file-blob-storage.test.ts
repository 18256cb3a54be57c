import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { blobContract, textStream } from '../testing/blob-contract.js';
import { makeTestDir } from '../testing/index.js';
import type { BlobStorage } from './blob-storage.js';
import { openFileBlobStorage } from './file-blob-storage.js';

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

  blobContract(
    () => storage,
    () => blobDir,
  );

  it('replaces content that a crash left incomplete', async () => {
    const staged = await storage.stage(textStream('complete'));
    const hex = staged.digest.slice('sha256:'.length);
    const shard = path.join(blobDir, 'sha256', hex.slice(0, 2));
    await mkdir(shard, { recursive: true });
    await writeFile(path.join(shard, hex), 'comp');
    await staged.publish();
    assert.equal((await buffer(storage.open(staged.digest))).toString(), 'complete');
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
});
