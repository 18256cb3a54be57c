import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { withClient } from '../migrations/database-creation.js';
import { addModel, startJob } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

describe('events of jobs', () => {
  let service: TestStore;
  let modelId: string;
  before(async () => {
    service = await openTestStore();
    modelId = (await addModel(service.store, 'a model')).id;
  });
  after(() => service.close());

  const submit = async () => (await service.store.jobs.create({ modelId, recipe: {} })).id;
  const followed = async (target: { jobId?: string; projectId?: string }) => {
    const follower = service.store.watch.follow(target);
    // The first look is always worth it, and so is the one after the connection is there.
    await follower.changed(0);
    await follower.changed(2000);
    return follower;
  };
  const millisecondsOf = async (work: Promise<void>) => {
    const startedMs = performance.now();
    await work;
    return performance.now() - startedMs;
  };

  it('come in the order in which they happened, and again from any of them on', async () => {
    const claim = await startJob(service.store, modelId);
    await service.store.jobs.heartbeat(claim, { phase: 'calibrate', progress: null });
    await service.store.jobs.cancel(claim.jobId);
    const all = await service.store.events.read({ jobId: claim.jobId });
    assert.deepEqual(
      all.map(({ from, to, phase }) => [from, to, phase]),
      [
        [null, 'queued', null],
        ['queued', 'running', null],
        ['running', 'running', 'calibrate'],
        ['running', 'canceled', 'calibrate'],
      ],
    );
    for (const [i, { id }] of all.entries())
      assert.deepEqual(await service.store.events.read({ jobId: claim.jobId }, id), all.slice(i + 1));
    assert.equal(await service.store.events.newestId(), all.at(-1)!.id);
  });

  it('are not missed when a slow transaction ends after one that began later', async () => {
    const [slow, fast] = [await submit(), await submit()];
    const start = await service.store.events.newestId();
    const insert = 'INSERT INTO job_events (job_id, from_state, to_state, phase) VALUES ($1, $2, $2, $3)';
    await withClient(service.databaseUrl, async (client) => {
      await client.query('BEGIN');
      await client.query(insert, [slow, 'running', 'calibrate']);
      await withClient(service.databaseUrl, (other) => other.query(insert, [fast, 'running', 'measure']));
      const seen = await service.store.events.read({}, start);
      assert.deepEqual(
        seen.map(({ jobId }) => jobId),
        [fast],
      );
      await client.query('COMMIT');
      const later = await service.store.events.read({}, seen[0]!.id);
      assert.deepEqual(
        later.map(({ jobId }) => jobId),
        [slow],
      );
    });
  });

  it('get one place each, however many read at once', async () => {
    const jobs = await Promise.all(Array.from({ length: 20 }, submit));
    const reads = await Promise.all(Array.from({ length: 10 }, () => service.store.events.read()));
    for (const events of reads) {
      const ids = events.map(({ id }) => Number(id));
      assert.deepEqual(
        ids,
        [...new Set(ids)].sort((a, b) => a - b),
      );
      for (const id of jobs) assert.equal(events.filter(({ jobId }) => jobId === id).length, 1);
    }
  });

  it('wake who follows the job or its project, and nobody else', async () => {
    const [id, other] = [await submit(), await submit()];
    const { id: projectId } = await service.store.projects.create('elsewhere');
    const [ofJob, ofOther, ofAll, elsewhere] = [
      await followed({ jobId: id }),
      await followed({ jobId: other }),
      await followed({}),
      await followed({ projectId }),
    ];
    const woken = [ofJob, ofAll].map((follower) => millisecondsOf(follower.changed(10_000)));
    const asleep = [ofOther, elsewhere].map((follower) => millisecondsOf(follower.changed(1000)));
    await service.store.jobs.cancel(id);
    for (const ms of await Promise.all(woken)) assert.ok(ms < 5000, `${ms} ms`);
    for (const ms of await Promise.all(asleep)) assert.ok(ms > 900, `${ms} ms`);
    for (const follower of [ofJob, ofOther, ofAll, elsewhere]) follower.close();
  });

  it('wake who looks away between two looks', async () => {
    const id = await submit();
    const follower = await followed({ jobId: id });
    await service.store.jobs.cancel(id);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok((await millisecondsOf(follower.changed(10_000))) < 1000);
    follower.close();
  });

  it('wake again when the connection was lost', async () => {
    const id = await submit();
    const follower = await followed({ jobId: id });
    const cut = new pg.Client({ connectionString: service.databaseUrl });
    await cut.connect();
    await cut.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'`);
    await cut.end();
    assert.ok((await millisecondsOf(follower.changed(10_000))) < 5000, 'it is told that it may have missed something');
    await follower.changed(5000);
    await service.store.jobs.cancel(id);
    assert.ok((await millisecondsOf(follower.changed(10_000))) < 5000);
    follower.close();
  });

  it('end a wait when the caller does not want to wait any more', async () => {
    const follower = await followed({ jobId: await submit() });
    const stopping = new AbortController();
    setTimeout(() => stopping.abort(), 100);
    assert.ok((await millisecondsOf(follower.changed(10_000, stopping.signal))) < 5000);
    assert.ok((await millisecondsOf(follower.changed(10_000, stopping.signal))) < 1000);
    follower.close();
  });
});
