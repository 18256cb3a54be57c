import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withClient } from './migrations/database-creation.js';
import { openStore, type Store } from './store.js';
import { addModel, startJob, WORKER } from './testing/fixtures.js';
import { openTestStore, type TestStore } from './testing/index.js';
import { startTestRedis, type TestRedis } from './testing/redis-server.js';

const LEASE_MS = 200;
/** Rows younger than this are taken to be on their way to the queue. */
const DISPATCH_GRACE_MS = 2_000;

describe('the store', () => {
  let test: TestStore;
  let store: Store;
  let modelId: string;
  before(async () => {
    test = await openTestStore({ leaseMs: LEASE_MS });
    store = test.store;
    modelId = (await addModel(store, 'the model')).id;
  });
  after(() => test.close());

  it('dispatches a submitted job and takes a canceled one off the queue', async () => {
    const kept = await store.submitJob({ modelId, recipe: {} });
    const canceled = await store.submitJob({ modelId, recipe: {} });
    assert.deepEqual(await store.queue.counts(), { waiting: 2, active: 0 });
    assert.equal((await store.cancelJob(canceled.id)).state, 'canceled');
    assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 0 });
    await store.cancelJob(kept.id);
  });

  it('requeues jobs whose worker died, and fails those that crashed too often', async () => {
    const { jobId } = await startJob(store, modelId);
    await sleep(LEASE_MS + 50);
    for (const attempt of [2, 3]) {
      assert.deepEqual((await store.reconcile()).requeued, [jobId]);
      assert.equal((await store.jobs.get(jobId))?.state, 'queued');
      assert.equal((await store.queue.counts()).waiting, 1);
      assert.equal((await store.jobs.claim(jobId, WORKER))?.attempt, attempt);
      await sleep(LEASE_MS + 50);
    }
    assert.deepEqual((await store.reconcile()).failed, [jobId]);
    assert.equal((await store.jobs.get(jobId))?.error?.code, 'JOB_CRASHED');
    await store.queue.remove(jobId);
  });

  it('requeues a job once, however many reconcile at the same time', async () => {
    const { jobId } = await startJob(store, modelId);
    await sleep(LEASE_MS + 50);
    const results = await Promise.all(Array.from({ length: 8 }, () => store.reconcile()));
    assert.deepEqual(
      results.flatMap((result) => result.requeued),
      [jobId],
    );
    assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 0 });
    await store.cancelJob(jobId);
  });

  it('puts queued rows that the queue lost back on it', async () => {
    const lost = await store.submitJob({ modelId, recipe: {} });
    await store.queue.remove(lost.id);
    await store.reconcile();
    assert.equal((await store.queue.counts()).waiting, 0, 'a new row may be on its way');
    await sleep(DISPATCH_GRACE_MS + 50);
    await store.reconcile();
    await store.reconcile();
    assert.deepEqual(await store.queue.counts(), { waiting: 1, active: 0 });
    await store.cancelJob(lost.id);
  });

  it('expires a job that no worker has started in time, and none that was started once', async () => {
    const send = async (startWithinSeconds: number) =>
      (await store.submitJob({ modelId, recipe: {}, startWithinSeconds })).id;
    const [late, early, started] = [await send(1), await send(3600), await send(1)];
    const claim = await store.jobs.claim(started, WORKER);
    await store.jobs.release(claim!);
    await store.jobs.claim(started, WORKER);
    await sleep(1100);
    assert.equal(await store.jobs.claim(late, WORKER), null, 'it is too late before anybody has looked');
    const { expired } = await store.reconcile();
    assert.deepEqual(expired, [late]);
    const job = await store.jobs.get(late);
    assert.deepEqual([job?.state, job?.error?.code], ['expired', 'JOB_EXPIRED']);
    assert.equal(Date.parse(job!.startBy!) - Date.parse(job!.createdAt), 1000);
    assert.equal((await store.jobs.get(early))?.state, 'queued');
    assert.notEqual((await store.jobs.get(started))?.state, 'expired');
    for (const id of [early, started]) await store.cancelJob(id);
  });

  it('fails a job that a worker holds far beyond its deadline', async () => {
    const { id } = await store.jobs.create({ modelId, recipe: {}, deadlineSeconds: 60 });
    const claim = await store.jobs.claim(id, WORKER);
    assert.ok(claim);
    const startedAgo = (seconds: number) =>
      withClient(test.databaseUrl, (client) =>
        client.query(
          `UPDATE jobs SET started_at = now() - make_interval(secs => $2), lease_until = now() + interval '1 minute' WHERE id = $1`,
          [id, seconds],
        ),
      );
    await startedAgo(60 + 20);
    assert.deepEqual((await store.reconcile()).failed, [], 'the worker has time to end it itself');
    await startedAgo(60 + 40);
    assert.deepEqual((await store.reconcile()).failed, [id]);
    const job = await store.jobs.get(id);
    assert.deepEqual([job?.state, job?.error?.code], ['failed', 'JOB_DEADLINE_EXCEEDED']);
    assert.equal(await store.jobs.heartbeat(claim), false);
  });

  it('says which of its parts is not ready', async () => {
    assert.deepEqual(
      (await store.ping()).map(({ name, ok, message }) => [name, ok, message]),
      [
        ['database', true, null],
        ['queue', true, null],
        ['blobs', true, null],
      ],
    );
    const blobDir = `${test.dir}/lost`;
    const broken = await openStore({ databaseUrl: test.databaseUrl, blobDir });
    await rm(blobDir, { recursive: true });
    const checks = await broken.ping();
    assert.deepEqual(
      checks.map(({ ok }) => ok),
      [true, true, false],
    );
    assert.match(String(checks[2]?.message), /ENOENT/);
    await broken.close();
  });

  it('refuses to open without a database, without tables and without a queue', async () => {
    const blobDir = `${test.dir}/blobs`;
    const away = 'postgresql://nobody:secret@127.0.0.1:1/none';
    await assert.rejects(openStore({ databaseUrl: away, blobDir }), { code: 'SERVICE_UNAVAILABLE' });
    const bare = test.databaseUrl.replace(/tritforge$/, 'postgres');
    await assert.rejects(openStore({ databaseUrl: bare, blobDir }), { code: 'SERVICE_UNAVAILABLE' });
    const redisUrl = 'not a url';
    await assert.rejects(openStore({ databaseUrl: test.databaseUrl, redisUrl, blobDir }), {
      code: 'SERVICE_UNAVAILABLE',
    });
  });
});

describe('the store with Redis', async () => {
  const redis = await startTestRedis();
  const skip = typeof redis === 'string' && redis;
  let test: TestStore;
  before(async () => {
    if (!skip) test = await openTestStore({ redisUrl: (redis as TestRedis).redisUrl });
  });
  after(() => (skip ? undefined : test.close()));

  it('keeps a job that is submitted while Redis is away, and says that it is away', { skip }, async () => {
    const modelId = (await addModel(test.store, 'the model')).id;
    assert.equal((await test.store.submitJob({ modelId, recipe: {} })).state, 'queued');
    assert.deepEqual(await test.store.queue.counts(), { waiting: 1, active: 0 });
    await (redis as TestRedis).close();
    const job = await test.store.submitJob({ modelId, recipe: {} });
    assert.equal((await test.store.jobs.get(job.id))?.state, 'queued');
    assert.deepEqual(
      (await test.store.ping()).map(({ ok }) => ok),
      [true, false, true],
    );
  });
});
