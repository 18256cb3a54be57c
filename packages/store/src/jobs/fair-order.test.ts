import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { withClient } from '../migrations/database-creation.js';
import { DEFAULT_PROJECT_ID } from '../repositories/reach.js';
import { addModel, WORKER } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

describe('the order of jobs', () => {
  let service: TestStore;
  let modelId: string;
  let otherModelId: string;
  before(async () => {
    service = await openTestStore();
    modelId = (await addModel(service.store, 'a model')).id;
    otherModelId = (await addModel(service.store, 'another model')).id;
  });
  after(() => service.close());
  beforeEach(async () => {
    await sql('DELETE FROM jobs');
    await sql('DELETE FROM past_runs');
  });

  const sql = (text: string, values: unknown[] = []) =>
    withClient(service.databaseUrl, (client) => client.query(text, values));
  const makeKey = async (priority = 10) =>
    (await service.store.keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'key', scopes: [], priority })).key.id;
  const send = async (keyId: string | undefined, count: number) => {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) ids.push((await service.store.jobs.create({ modelId, recipe: {}, keyId })).id);
    return ids;
  };
  const claimAll = async () => {
    const ids: string[] = [];
    for (;;) {
      const claim = await service.store.jobs.claimNext(WORKER);
      if (claim === null) return ids;
      ids.push(claim.jobId);
    }
  };
  /** As if a worker had run a job of the sender for so long, until so long ago. */
  const ran = async (keyId: string, seconds: number, agoSeconds = 0, model = modelId): Promise<string> => {
    const { id } = await service.store.jobs.create({ modelId: model, recipe: {}, keyId });
    await sql(
      `UPDATE jobs SET state = 'succeeded', finished_at = now() - make_interval(secs => $3), started_at = now() - make_interval(secs => $2 + $3) WHERE id = $1`,
      [id, seconds, agoSeconds],
    );
    return id;
  };

  it('is that in which they were sent, where one sends them', async () => {
    const ids = await send(undefined, 5);
    assert.deepEqual(await claimAll(), ids);
  });

  it('gives a sender that comes late its turn before the many jobs of another', async () => {
    const many = await send(await makeKey(), 50);
    const few = await send(await makeKey(), 2);
    assert.deepEqual((await claimAll()).slice(0, 4), [many[0], few[0], many[1], few[1]]);
  });

  it('gives senders workers in proportion to their priority', async () => {
    const [urgent, plain] = [await send(await makeKey(30), 30), await send(await makeKey(10), 30)];
    const first = (await claimAll()).slice(0, 16);
    assert.equal(first.filter((id) => urgent.includes(id)).length, 12);
    assert.equal(first.filter((id) => plain.includes(id)).length, 4);
  });

  it('counts what workers gave within the hour, and forgets what was before', async () => {
    const [greedy, modest, early] = [await makeKey(), await makeKey(), await makeKey()];
    await ran(greedy, 600);
    await ran(modest, 60);
    await ran(early, 3000, 3600);
    const [ofGreedy, ofModest, ofEarly] = [await send(greedy, 1), await send(modest, 1), await send(early, 1)];
    assert.deepEqual(await claimAll(), [...ofEarly, ...ofModest, ...ofGreedy]);
  });

  it('counts jobs that were deleted since', async () => {
    const [greedy, modest] = [await makeKey(), await makeKey()];
    await service.store.deleteJob(await ran(greedy, 600));
    await ran(modest, 60);
    const [ofGreedy, ofModest] = [await send(greedy, 1), await send(modest, 1)];
    assert.equal((await service.store.jobs.get(ofGreedy[0]!))!.queuePosition, 2);
    assert.deepEqual(await claimAll(), [...ofModest, ...ofGreedy]);
  });

  it('is what queue positions say', async () => {
    const keys = [await makeKey(30), await makeKey(10), undefined];
    await ran(keys[0]!, 100);
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) for (const key of keys) ids.push(...(await send(key, 1)));
    const jobs = await Promise.all(ids.map((id) => service.store.jobs.get(id)));
    const told = jobs.toSorted((a, b) => a!.queuePosition! - b!.queuePosition!).map((job) => job!.id);
    assert.deepEqual(
      jobs.map((job) => job!.queuePosition).toSorted((a, b) => a! - b!),
      ids.map((_, i) => i + 1),
    );
    assert.deepEqual(await claimAll(), told);
  });

  it('comes with an estimate of what jobs on the same model took', async () => {
    const key = await makeKey();
    for (const seconds of [10, 20, 30]) await ran(key, seconds);
    for (const seconds of [100, 200, 300]) await ran(key, seconds, 0, otherModelId);
    const [first, second] = await send(key, 2);
    const { id: third } = await service.store.jobs.create({ modelId: otherModelId, recipe: {}, keyId: key });
    const estimateOf = async (id: string) => (await service.store.jobs.get(id))!.estimate!;
    assert.deepEqual(await estimateOf(first!), { startsInSeconds: 0, runsForSeconds: 20 });
    assert.deepEqual(await estimateOf(second!), { startsInSeconds: 20, runsForSeconds: 20 });
    assert.deepEqual(await estimateOf(third), { startsInSeconds: 40, runsForSeconds: 200 });
    await service.store.jobs.claimNext(WORKER);
    assert.deepEqual(await estimateOf(second!), { startsInSeconds: 20, runsForSeconds: 20 });
    assert.equal((await service.store.jobs.get(first!))!.estimate, null);
  });

  it('comes with the same estimate when those jobs are deleted', async () => {
    const key = await makeKey();
    const past: string[] = [];
    for (const seconds of [10, 20, 30]) past.push(await ran(key, seconds));
    const [id] = await send(key, 1);
    const before = (await service.store.jobs.get(id!))!.estimate;
    assert.deepEqual(before, { startsInSeconds: 0, runsForSeconds: 20 });
    for (const job of past) await service.store.deleteJob(job);
    assert.deepEqual((await service.store.jobs.get(id!))!.estimate, before);
  });

  it('lets each of many workers that look at once take another one', async () => {
    const ids = await send(await makeKey(), 12);
    const claims = await Promise.all(Array.from({ length: 15 }, () => service.store.jobs.claimNext(WORKER)));
    const claimed = claims.flatMap((claim) => claim?.jobId ?? []);
    assert.deepEqual(claimed.toSorted(), ids);
  });

  it('begins with jobs whose worker is gone', async () => {
    const [lost] = await send(undefined, 1);
    await service.store.jobs.claimNext(WORKER);
    await send(await makeKey(1000), 3);
    await sql(`UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1`, [lost]);
    assert.equal((await service.store.jobs.claimNext(WORKER))?.jobId, lost);
  });
});
