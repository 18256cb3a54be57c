import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Dataset, Model, TritforgeError } from '@tritforge/contracts';
import { withClient } from './migrations/database-creation.js';
import { DEFAULT_PROJECT_ID } from './repositories/reach.js';
import type { Store } from './store.js';
import {
  addDataset,
  addModel,
  DATASET_SUMMARY,
  MODEL_SUMMARY,
  makeArtifact,
  REPORT,
  stageText,
  WORKER,
} from './testing/fixtures.js';
import { openTestStore, type TestStore } from './testing/index.js';

const NOTHING = { jobs: 0, models: 0, datasets: 0 };
const HOUR_SECONDS = 3600;

describe('what expires', () => {
  let test: TestStore;
  let store: Store;
  before(async () => {
    test = await openTestStore();
    store = test.store;
  });
  after(() => test.close());

  const upload = async (text: string, expiresInSeconds?: number | null): Promise<Model> => {
    const files = [{ name: 'model.onnx', blob: await stageText(store, text) }];
    return (await store.models.create({ files, summary: MODEL_SUMMARY, expiresInSeconds })).value;
  };
  const uploadData = async (text: string, expiresInSeconds?: number | null): Promise<Dataset> => {
    const file = { name: 'data.npz', blob: await stageText(store, text) };
    return (await store.datasets.create({ file, preprocess: null, summary: DATASET_SUMMARY, expiresInSeconds })).value;
  };
  /** Moves all that is known of the time of a row into the past. */
  const later = (table: 'models' | 'datasets' | 'jobs', id: string, seconds: number) => {
    const ofJob = ['finished_at', 'started_at', 'queued_at'];
    const columns = ['created_at', 'expires_at', ...(table === 'jobs' ? ofJob : [])];
    const set = columns.map((column) => `${column} = ${column} - make_interval(secs => $2)`).join();
    return withClient(test.databaseUrl, (client) =>
      client.query(`UPDATE ${table} SET ${set} WHERE id = $1`, [id, seconds]),
    );
  };
  const secondsUntil = (expiresAt: string | null) => Math.round((Date.parse(expiresAt!) - Date.now()) / 1000);
  const isAbout = (expiresAt: string | null, seconds: number) =>
    assert.ok(Math.abs(secondsUntil(expiresAt) - seconds) < 20, `${expiresAt} is not in ${seconds} s`);

  it('goes with its bytes when its time is over, and nothing else does', async () => {
    const model = await upload('short', 60);
    const dataset = await uploadData('short too', 60);
    const kept = [await upload('long', HOUR_SECONDS), await upload('without an end')];
    isAbout(model.expiresAt, 60);
    isAbout(kept[0]!.expiresAt, HOUR_SECONDS);
    assert.equal(kept[1]!.expiresAt, null);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    for (const { id } of [model, ...kept]) await later('models', id, 61);
    await later('datasets', dataset.id, 61);
    assert.deepEqual(await store.sweepExpired(), { jobs: 0, models: 1, datasets: 1 });
    assert.equal(await store.models.get(model.id), null);
    assert.equal(await store.datasets.get(dataset.id), null);
    for (const { digest } of [model, dataset]) assert.equal(await store.blobs.stat(digest), null);
    for (const { id, digest } of kept) {
      assert.ok(await store.models.get(id));
      assert.ok(await store.blobs.stat(digest));
    }
  });

  it('is in the audit log of its project', async () => {
    const model = await upload('audited', 60);
    await later('models', model.id, 61);
    await store.sweepExpired();
    const { items } = await store.inProject(DEFAULT_PROJECT_ID).audit.list({ limit: 1 });
    const { action, target, keyId, status } = items[0]!;
    assert.deepEqual([action, target, keyId, status], ['expiry.deleteModel', `/models/${model.id}`, null, null]);
  });

  it('stays while a job that has not ended uses it', async () => {
    const model = await upload('needed', 60);
    const datasets = {
      calibration: (await uploadData('needed to calibrate', 60)).id,
      evaluation: (await uploadData('needed to evaluate', 60)).id,
      training: (await uploadData('needed to train', 60)).id,
    };
    const { id } = await store.jobs.create({ modelId: model.id, recipe: {}, datasets });
    await later('models', model.id, 3600);
    for (const dataset of Object.values(datasets)) await later('datasets', dataset, 3600);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    const claim = await store.jobs.claim(id, WORKER);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    await store.jobs.finish(claim!, { state: 'succeeded', report: REPORT, artifacts: [] });
    assert.deepEqual(await store.sweepExpired(), { jobs: 0, models: 1, datasets: 3 });
    assert.equal((await store.jobs.get(id))!.modelId, model.id, 'the job keeps the id');
    await store.deleteJob(id);
  });

  it('is, of jobs, counted from their end, and never what has not ended', async () => {
    const { id: modelId } = await upload('of jobs');
    const { id, expiresAt } = await store.jobs.create({ modelId, recipe: {}, expiresInSeconds: 60 });
    isAbout(expiresAt, 60);
    await later('jobs', id, HOUR_SECONDS);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    const claim = await store.jobs.claim(id, WORKER);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    const artifacts = [await makeArtifact(store, 'of a job that expires')];
    await store.jobs.finish(claim!, { state: 'succeeded', report: REPORT, artifacts });
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    const job = await store.jobs.get(id);
    isAbout(job!.expiresAt, 60);
    const [artifact] = await store.artifacts.listByJob(id);
    assert.equal(artifact!.expiresAt, job!.expiresAt);
    await later('jobs', id, 61);
    assert.deepEqual(await store.sweepExpired(), { ...NOTHING, jobs: 1 });
    assert.equal(await store.jobs.get(id), null);
    assert.equal(await store.blobs.stat(artifact!.digest), null);
  });

  it('can be changed at any time, also to never', async () => {
    const model = await upload('changed', 60);
    const dataset = await uploadData('changed as well');
    isAbout((await store.models.keepFor(model.id, HOUR_SECONDS)).expiresAt, HOUR_SECONDS);
    assert.equal((await store.models.keepFor(model.id, null)).expiresAt, null);
    isAbout((await store.datasets.keepFor(dataset.id, 60)).expiresAt, 60);
    await later('datasets', dataset.id, 61);
    assert.equal((await store.datasets.keepFor(dataset.id, null)).expiresAt, null);
    assert.deepEqual(await store.sweepExpired(), NOTHING);

    const { id } = await store.jobs.create({ modelId: model.id, recipe: {} });
    isAbout((await store.jobs.keepFor(id, 120)).expiresAt, 120);
    await store.jobs.cancel(id);
    await later('jobs', id, 100);
    isAbout((await store.jobs.get(id))!.expiresAt, 20);
    isAbout((await store.jobs.keepFor(id, 60)).expiresAt, 60);
    assert.equal((await store.jobs.keepFor(id, null)).expiresAt, null);
    await later('jobs', id, HOUR_SECONDS);
    assert.deepEqual(await store.sweepExpired(), NOTHING);
    const unknown = '00000000000000000000000000';
    await assert.rejects(store.models.keepFor(`mdl_${unknown}`, 60), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(store.datasets.keepFor(`dst_${unknown}`, 60), { code: 'DATASET_NOT_FOUND' });
    await assert.rejects(store.jobs.keepFor(`job_${unknown}`, 60), { code: 'JOB_NOT_FOUND' });
    await store.deleteJob(id);
  });

  it('is not there to be changed for another project', async () => {
    const theirs = store.inProject((await store.projects.create('elsewhere')).id);
    const model = await upload('ours alone');
    const dataset = await uploadData('ours alone');
    const job = await store.jobs.create({ modelId: model.id, recipe: {} });
    await assert.rejects(theirs.models.keepFor(model.id, 60), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(theirs.datasets.keepFor(dataset.id, 60), { code: 'DATASET_NOT_FOUND' });
    await assert.rejects(theirs.jobs.keepFor(job.id, 60), { code: 'JOB_NOT_FOUND' });
    assert.equal((await store.jobs.get(job.id))!.expiresAt, null);
    assert.equal((await store.models.get(model.id))!.expiresAt, null);
    await store.cancelJob(job.id);
  });

  it('is, of what is uploaded again, the later of both', async () => {
    for (const [first, second, expected] of [
      [60, HOUR_SECONDS, HOUR_SECONDS],
      [HOUR_SECONDS, 60, HOUR_SECONDS],
      [60, null, null],
      [null, 60, null],
    ] as const) {
      const text = `again ${first} ${second}`;
      const [model, dataset] = [await upload(text, first), await uploadData(text, first)];
      const [same, sameData] = [await upload(text, second), await uploadData(text, second)];
      assert.deepEqual([same.id, sameData.id], [model.id, dataset.id]);
      for (const { expiresAt } of [same, sameData]) {
        if (expected === null) assert.equal(expiresAt, null);
        else isAbout(expiresAt, expected);
      }
    }
  });

  it('is not what is uploaded again while it goes', async () => {
    for (let round = 0; round < 20; round++) {
      const text = `contested ${round}`;
      const { id } = await upload(text, 60);
      await later('models', id, 61);
      const [, again] = await Promise.all([store.sweepExpired(), upload(text, HOUR_SECONDS), store.sweepExpired()]);
      isAbout((await store.models.get(again.id))!.expiresAt, HOUR_SECONDS);
      assert.ok(await store.blobs.stat(again.digest), `round ${round}`);
    }
  });

  it('either goes or gets a job, but not both', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const { id: modelId } = await upload(`raced ${round}`, 60);
      await later('models', modelId, 61);
      const [job, swept] = await Promise.all([
        store.jobs.create({ modelId, recipe: {} }).catch((error: TritforgeError) => error.code),
        store.sweepExpired(),
      ]);
      if (typeof job === 'string') assert.deepEqual([job, swept.models], ['MODEL_NOT_FOUND', 1]);
      else assert.deepEqual([await store.models.get(modelId).then(Boolean), swept.models], [true, 0]);
      outcomes.add(typeof job);
      if (typeof job !== 'string') await store.jobs.cancel(job.id);
      await store.sweepExpired();
    }
    assert.ok(outcomes.size > 0);
  });

  it('is deleted once, some at a time, by however many workers', async () => {
    for (let i = 0; i < 130; i++) await addModel(store, `many ${i}`);
    await addDataset(store, 'one of them');
    await withClient(test.databaseUrl, (client) =>
      client.query(
        `UPDATE models SET expires_at = now() WHERE id IN (SELECT id FROM models ORDER BY id DESC LIMIT 130)`,
      ),
    );
    const before = (await store.models.list({ limit: 200 })).items.length;
    const alone = await store.sweepExpired();
    assert.equal(alone.models, 50);
    let swept = alone.models;
    while (swept < 130) {
      const together = await Promise.all(Array.from({ length: 4 }, () => store.sweepExpired()));
      swept += together.reduce((sum, { models }) => sum + models, 0);
    }
    assert.equal(swept, 130);
    assert.equal((await store.models.list({ limit: 200 })).items.length, before - 130);
  });
});
