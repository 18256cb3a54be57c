/** Rows of a store whose content is in a bucket. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import type { Store } from '../../store.js';
import { addModel, MODEL_SUMMARY, makeArtifact, REPORT, stageText, startJob } from '../../testing/fixtures.js';
import { makeTestDir, openTestStore, type TestStore } from '../../testing/index.js';
import { startTestS3, type TestS3 } from '../../testing/s3-server.js';

describe('a store on a bucket', () => {
  let dir: string;
  let s3: TestS3;
  let test: TestStore;
  let store: Store;
  before(async () => {
    dir = await makeTestDir();
    s3 = await startTestS3(path.join(dir, 's3'));
    Object.assign(process.env, s3.credentials);
    const { bucket, endpoint } = s3;
    const connection = { endpoint, publicEndpoint: null, region: null, addressing: 'auto' } as const;
    test = await openTestStore({ s3: { bucket, prefix: '', ...connection, timing: { settleMs: 0 } } });
    store = test.store;
  });
  after(async () => {
    await test.close();
    await s3.close();
    await rm(dir, { recursive: true, force: true });
  });

  const has = async (digest: string) => (await store.blobs.stat(digest)) !== null;

  it('has the files of models and artifacts there, until no row refers to them', async () => {
    const model = await addModel(store, 'weights');
    const claim = await startJob(store, model.id);
    const artifact = await makeArtifact(store, 'codes');
    assert.ok(await store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts: [artifact] }));
    const [stored] = await store.artifacts.listByJob(claim.jobId);
    assert.deepEqual([await has(model.digest), await has(stored!.digest)], [true, true]);
    await store.models.delete(model.id);
    assert.deepEqual([await has(model.digest), await has(stored!.digest)], [false, true]);
  });

  it('leaves nothing of an upload that a quota refuses', async () => {
    const { id } = await store.projects.create('small', 10);
    const blob = await stageText(store, 'more than ten bytes');
    const model = { files: [{ name: 'model.onnx', blob }], summary: MODEL_SUMMARY };
    await assert.rejects(store.inProject(id).models.create(model), { code: 'QUOTA_EXCEEDED' });
    assert.equal(await has(blob.digest), false);
    const kept = await addModel(store, 'more than ten bytes');
    const again = { files: [{ name: 'model.onnx', blob: await stageText(store, 'more than ten bytes') }] };
    await assert.rejects(store.inProject(id).models.create({ ...model, ...again }), { code: 'QUOTA_EXCEEDED' });
    assert.equal(await has(kept.digest), true, 'what another project has stays');
  });

  it('sends a large file before its transaction, which takes it when the file has been swept meanwhile', async () => {
    const bytes = randomBytes(12 * 2 ** 20);
    const blob = await store.blobs.stage(Readable.from([bytes]));
    await blob.send();
    assert.equal(await has(blob.digest), true);
    assert.equal(await store.sweepBlobs(), 1);
    const { value } = await store.models.create({ files: [{ name: 'model.onnx', blob }], summary: MODEL_SUMMARY });
    assert.deepEqual(await store.blobs.stat(value.digest), { sizeBytes: bytes.length });
    assert.equal(await store.sweepBlobs(), 0);
  });

  it('says in its checks that the bucket is away, and which', async () => {
    assert.ok((await store.ping()).every(({ ok }) => ok));
    await s3.close();
    const blobs = (await store.ping()).find(({ name }) => name === 'blobs');
    assert.equal(blobs?.ok, false);
    assert.match(blobs?.message ?? '', /^The bucket tritforge-test cannot be reached \(ECONNREFUSED\)/);
  });
});
