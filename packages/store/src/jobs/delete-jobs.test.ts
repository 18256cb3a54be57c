import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Job, TritforgeError } from '@tritforge/contracts';
import { withClient } from '../migrations/database-creation.js';
import { DEFAULT_PROJECT_ID } from '../repositories/reach.js';
import { openStore, type ProjectStore, type Store } from '../store.js';
import { addModel, MODEL_SUMMARY, makeArtifact, REPORT, stageText, startJob, WORKER } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

const CRASH = new TritforgeError('JOB_CRASHED', 'The process was killed.').toJSON();

describe('a job that is deleted', () => {
  let test: TestStore;
  let store: Store;
  let modelId: string;
  before(async () => {
    test = await openTestStore();
    store = test.store;
    modelId = (await addModel(store, 'the model of all jobs')).id;
  });
  after(() => test.close());

  const sql = async (text: string, values: unknown[] = []) =>
    (await withClient(test.databaseUrl, (client) => client.query(text, values))).rows;
  /** A job that succeeded with artifacts of these contents. */
  const succeeded = async (...texts: string[]): Promise<Job> => {
    const claim = await startJob(store, modelId);
    const artifacts = await Promise.all(texts.map((text) => makeArtifact(store, text)));
    assert.ok(await store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts }));
    return (await store.jobs.get(claim.jobId))!;
  };
  const digestsOf = async ({ id }: Job) => (await store.artifacts.listByJob(id)).map(({ digest }) => digest);

  it('takes its artifacts, report and events along, and the files that nothing else needs', async () => {
    const [job, other] = [await succeeded('its own', 'shared'), await succeeded('shared')];
    const [own, shared] = await digestsOf(job);
    assert.equal((await store.storageUse()).artifacts, 'its ownsharedshared'.length);
    await store.deleteJob(job.id);
    assert.equal(await store.jobs.get(job.id), null);
    assert.equal(await store.jobs.getReport(job.id), null);
    assert.deepEqual(await store.artifacts.listByJob(job.id), []);
    assert.equal(await store.artifacts.get(job.artifactIds[0]!), null);
    assert.deepEqual(await store.events.read({ jobId: job.id }), []);
    assert.equal(await store.blobs.stat(own!), null);
    assert.ok(await store.blobs.stat(shared!));
    assert.equal((await store.storageUse()).artifacts, 'shared'.length);
    await assert.rejects(store.deleteJob(job.id), { code: 'JOB_NOT_FOUND' });
    await store.deleteJob(other.id);
    assert.equal(await store.blobs.stat(shared!), null);
    assert.equal((await store.storageUse()).artifacts, 0);
    assert.ok(await store.models.get(modelId), 'its model stays');
  });

  it('must have ended; a worker that still runs it learns that it has lost it', async () => {
    const claim = await startJob(store, modelId);
    const { id: queued } = await store.jobs.create({ modelId, recipe: {} });
    for (const id of [claim.jobId, queued]) {
      await assert.rejects(store.deleteJob(id), ({ code, context }: TritforgeError) => {
        assert.match(String(context.remediation), /Cancel it first/);
        return code === 'JOB_NOT_ENDED';
      });
      await store.jobs.cancel(id);
      await store.deleteJob(id);
    }
    assert.equal(await store.jobs.heartbeat(claim), false);
    assert.equal(await store.jobs.release(claim), false);
    assert.equal(await store.jobs.retry(claim, CRASH), null);
    assert.equal(await store.jobs.finish(claim, { state: 'failed', error: CRASH }), false);
  });

  it('is deleted once, however many ask for it at once', async () => {
    const { id } = await succeeded('contested');
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => store.deleteJob(id)));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.code, 'JOB_NOT_FOUND');
    assert.equal((await sql('SELECT FROM past_runs WHERE job_id = $1', [id])).length, 1);
  });

  it('is not there to be deleted for another project', async () => {
    const { id: projectId } = await store.projects.create('nosy');
    const { id } = await succeeded();
    await assert.rejects(store.inProject(projectId).deleteJob(id), { code: 'JOB_NOT_FOUND' });
    assert.ok(await store.jobs.get(id));
    await store.deleteJob(id);
  });

  it('does not hold on to its model', async () => {
    const model = await addModel(store, 'a model of one job');
    const { id } = await store.jobs.create({ modelId: model.id, recipe: {} });
    await assert.rejects(store.models.delete(model.id), { code: 'RESOURCE_IN_USE' });
    await store.jobs.cancel(id);
    await store.deleteJob(id);
    await store.models.delete(model.id);
  });

  it('leaves a log of events in which whoever was behind it finds all others', async () => {
    const first = await succeeded();
    const start = (await store.events.read({ jobId: first.id })).at(-1)!.id;
    const [gone, kept] = [await succeeded(), await succeeded()];
    const last = await succeeded();
    const before = await store.events.read({}, start);
    const [ofGone, ofLast] = [gone, last].map(({ id }) => before.filter(({ jobId }) => jobId === id).at(-1)!.id);
    await store.deleteJob(gone.id);
    await store.deleteJob(last.id);
    const ofKept = before.filter(({ jobId }) => jobId === kept.id);
    assert.deepEqual(await store.events.read({}, start), ofKept);
    assert.deepEqual(await store.events.read({}, ofGone), ofKept);
    assert.deepEqual(await store.events.read({}, ofLast), []);
    assert.equal(await store.events.newestId(), ofKept.at(-1)!.id);
    const next = await succeeded();
    const ofNext = await store.events.read({ jobId: next.id });
    assert.deepEqual(await store.events.read({}, ofLast), ofNext, 'places are not given twice');
  });

  describe('while webhooks want to know of it', () => {
    let project: ProjectStore;
    let webhookId: string;
    let ourModelId: string;
    before(async () => {
      const { id } = await store.projects.create('told');
      project = store.inProject(id);
      webhookId = (await project.webhooks.create({ url: 'https://example.com/' })).id;
      const files = [{ name: 'model.onnx', blob: await stageText(store, 'a model that is told of') }];
      ourModelId = (await project.models.create({ files, summary: MODEL_SUMMARY })).value.id;
    });
    const canceled = async () => {
      const { id } = await project.jobs.create({ modelId: ourModelId, recipe: {} });
      return project.cancelJob(id);
    };
    const messages = async () => (await project.webhooks.deliveries(webhookId, { limit: 200 })).items;

    it('is told of all the same, with what it was', async () => {
      const job = await canceled();
      await project.deleteJob(job.id);
      while ((await store.deliveries.fanOut()) > 0);
      const [message, ...others] = await messages();
      assert.deepEqual(others, []);
      assert.deepEqual([message!.type, JSON.parse(message!.payload).data], ['job.canceled', job]);
      assert.equal((await project.webhooks.replay(webhookId, message!.id)).state, 'pending');
    });

    it('is told of once, whether workers or the delete come first', async () => {
      const before = (await messages()).length;
      const all: string[] = [];
      const worker = await openStore({ databaseUrl: test.databaseUrl, blobDir: `${test.dir}/blobs` });
      for (let round = 0; round < 10; round++) {
        const jobs = await Promise.all([canceled(), canceled(), canceled()]);
        await Promise.all([...jobs.map(({ id }) => project.deleteJob(id)), worker.deliveries.fanOut()]);
        all.push(...jobs.map(({ id }) => id));
      }
      while ((await worker.deliveries.fanOut()) > 0);
      await worker.close();
      const told = (await messages()).slice(0, -before).map(({ payload }) => JSON.parse(payload).data.id as string);
      assert.deepEqual(told.toSorted(), all.toSorted());
    });
  });

  it('leaves what it used until nobody counts it any more', async () => {
    const { key } = await store.keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'past', scopes: [] });
    const ended = async (state: 'succeeded' | 'failed', agoHours: number) => {
      const { id } = await store.jobs.create({ modelId, recipe: {}, keyId: key.id });
      await store.jobs.claim(id, WORKER);
      await sql(
        `UPDATE jobs SET state = $2::job_state, finished_at = now() - make_interval(hours => $3),
          started_at = now() - make_interval(hours => $3, mins => 5) WHERE id = $1`,
        [id, state, agoHours],
      );
      await store.deleteJob(id);
      return id;
    };
    const [old, history, recent] = [await ended('failed', 25), await ended('succeeded', 25), await ended('failed', 23)];
    await store.sweepPastRuns();
    const left = await sql('SELECT job_id FROM past_runs WHERE key_id = $1', [key.id]);
    assert.deepEqual(left.map(({ job_id }) => job_id).toSorted(), [history, recent].toSorted(), `not ${old}`);
    const never = await store.jobs.create({ modelId, recipe: {}, keyId: key.id });
    await store.jobs.cancel(never.id);
    await store.deleteJob(never.id);
    assert.equal((await sql('SELECT FROM past_runs WHERE job_id = $1', [never.id])).length, 0, 'it used nothing');
  });
});
