import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { withClient } from '../migrations/database-creation.js';
import { DEFAULT_PROJECT_ID } from '../repositories/reach.js';
import { DATASET_SUMMARY, MODEL_SUMMARY, makeArtifact, REPORT, stageText, WORKER } from '../testing/fixtures.js';
import { openTestStore, startTestDatabase, type TestDatabase, type TestStore } from '../testing/index.js';
import { startTestRedis } from '../testing/redis-server.js';
import { openRateLimits } from './rate-limits.js';

describe('requests in a minute', () => {
  let database: TestDatabase;
  before(async () => {
    database = await startTestDatabase();
  });
  after(() => database.close());

  const isLimited = async (redisUrl: string | null) => {
    const { databaseUrl } = database;
    const [first, second] = [openRateLimits({ databaseUrl, redisUrl }), openRateLimits({ databaseUrl, redisUrl })];
    const key = `key of ${redisUrl}`;
    try {
      const states = [];
      for (const limits of [first, second, first, second]) states.push(await limits.take(key, 3));
      assert.deepEqual(
        states.map(({ isAllowed, remaining }) => [isAllowed, remaining]),
        [
          [true, 2],
          [true, 1],
          [true, 0],
          [false, 0],
        ],
      );
      assert.ok(states.every(({ resetSeconds }) => resetSeconds > 0 && resetSeconds <= 60));
      assert.equal((await first.take(`another ${key}`, 3)).remaining, 2);
      const many = await Promise.all(Array.from({ length: 30 }, () => second.take(`many ${key}`, 10)));
      assert.equal(many.filter(({ isAllowed }) => isAllowed).length, 10);
    } finally {
      await Promise.all([first.close(), second.close()]);
    }
  };

  it('are counted together by all processes, in PostgreSQL', () => isLimited(null));

  it('are counted together by all processes, in Redis', async (t) => {
    const redis = await startTestRedis();
    // The text says why there is no server here, such as no network to fetch it and no compiler.
    if (typeof redis === 'string') return t.skip(redis);
    try {
      await isLimited(redis.redisUrl);
    } finally {
      await redis.close();
    }
  });

  it('cannot be counted without the backend, and say so', async () => {
    const away = openRateLimits({ databaseUrl: 'postgresql://nobody@127.0.0.1:1/none', redisUrl: null });
    await assert.rejects(away.take('key', 1));
    await away.close();
  });
});

describe('quotas', () => {
  let service: TestStore;
  before(async () => {
    service = await openTestStore();
  });
  after(() => service.close());

  const upload = async (projectId: string, text: string) => {
    const files = [{ name: 'model.onnx', blob: await stageText(service.store, text) }];
    return (await service.store.inProject(projectId).models.create({ files, summary: MODEL_SUMMARY })).value;
  };
  const blobs = async () => {
    const digests: string[] = [];
    for await (const digest of service.store.blobs.list()) digests.push(digest);
    return digests.length;
  };

  it('of storage count models, datasets and artifacts, and refuse what does not fit any more', async () => {
    const { id } = await service.store.projects.create('small', 100);
    const project = service.store.inProject(id);
    const model = await upload(id, 'm'.repeat(40));
    const file = { name: 'd.npz', blob: await stageText(service.store, 'd'.repeat(30)) };
    await project.datasets.create({ file, preprocess: null, summary: DATASET_SUMMARY });
    const job = await project.jobs.create({ modelId: model.id, recipe: {} });
    const claim = (await service.store.jobs.claim(job.id, WORKER))!;
    const artifacts = [await makeArtifact(service.store, 'a'.repeat(20))];
    await service.store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts });
    assert.deepEqual(await project.storageUse(), { models: 40, datasets: 30, artifacts: 20 });
    const before = await blobs();
    await assert.rejects(upload(id, 'x'.repeat(11)), { code: 'QUOTA_EXCEEDED' });
    assert.equal(await blobs(), before, 'what was refused was not published');
    await upload(id, 'm'.repeat(40));
    await upload(id, 'x'.repeat(10));
    await assert.rejects(upload(id, 'y'), { code: 'QUOTA_EXCEEDED' });
    await project.models.delete(model.id);
    await upload(id, 'y');
  });

  it('of storage hold when many uploads come at once', async () => {
    const { id } = await service.store.projects.create('busy', 100);
    const uploads = Array.from({ length: 12 }, (_, i) => upload(id, String.fromCharCode(97 + i).repeat(30)));
    const results = await Promise.allSettled(uploads);
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 3);
    assert.equal((await service.store.inProject(id).storageUse()).models, 90);
  });

  it('of concurrent jobs let further ones wait, also when many workers are free', async () => {
    const model = await upload(DEFAULT_PROJECT_ID, 'concurrent');
    const limits = { concurrentJobs: 2 };
    const { key } = await service.store.keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'two', scopes: [], limits });
    const send = () => service.store.jobs.create({ modelId: model.id, recipe: {}, keyId: key.id });
    for (let i = 0; i < 5; i++) await send();
    const claims = await Promise.all(Array.from({ length: 8 }, () => service.store.jobs.claimNext(WORKER)));
    const held = claims.flatMap((claim) => claim ?? []);
    assert.equal(held.length, 2);
    await service.store.jobs.cancel(held[0]!.jobId);
    await service.store.offerNext();
    assert.equal((await service.store.queue.counts()).waiting, 1);
    assert.notEqual(await service.store.jobs.claimNext(WORKER), null);
    assert.equal(await service.store.jobs.claimNext(WORKER), null);
  });

  it('of job minutes refuse further jobs until they are a day old', async () => {
    const model = await upload(DEFAULT_PROJECT_ID, 'minutes');
    const limits = { jobMinutesPerDay: 10 };
    const made = await service.store.keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'ten', scopes: [], limits });
    const keyId = made.key.id;
    const send = () => service.store.submitJob({ modelId: model.id, recipe: {}, keyId });
    const { id } = await send();
    const ran = (hoursAgo: number) =>
      withClient(service.databaseUrl, (client) =>
        client.query(
          `UPDATE jobs SET state = 'succeeded', finished_at = now() - make_interval(hours => $2),
            started_at = now() - make_interval(hours => $2, mins => 11) WHERE id = $1`,
          [id, hoursAgo],
        ),
      );
    await ran(23);
    assert.ok(Math.abs((await service.store.jobMinutesOfDay(keyId)) - 11) < 0.1);
    await assert.rejects(send(), { code: 'QUOTA_EXCEEDED' });
    await ran(24);
    await send();
  });

  it('of job minutes and storage: a job that is deleted gives back its storage, and no minutes', async () => {
    const { id: projectId } = await service.store.projects.create('deleting', 50);
    const project = service.store.inProject(projectId);
    const model = await upload(projectId, 'm'.repeat(10));
    const limits = { jobMinutesPerDay: 10 };
    const keyId = (await service.store.keys.create({ projectId, name: 'ten', scopes: [], limits })).key.id;
    const job = await project.submitJob({ modelId: model.id, recipe: {}, keyId });
    const claim = (await service.store.jobs.claim(job.id, WORKER))!;
    const artifacts = [await makeArtifact(service.store, 'a'.repeat(40))];
    await service.store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts });
    await withClient(service.databaseUrl, (client) =>
      client.query(`UPDATE jobs SET started_at = finished_at - interval '11 minutes' WHERE id = $1`, [job.id]),
    );
    await assert.rejects(upload(projectId, 'x'), { code: 'QUOTA_EXCEEDED' });
    await project.deleteJob(job.id);
    assert.deepEqual(await project.storageUse(), { models: 10, datasets: 0, artifacts: 0 });
    await upload(projectId, 'x');
    assert.ok(Math.abs((await project.jobMinutesOfDay(keyId)) - 11) < 0.1);
    await assert.rejects(project.submitJob({ modelId: model.id, recipe: {}, keyId }), { code: 'QUOTA_EXCEEDED' });
  });
});
