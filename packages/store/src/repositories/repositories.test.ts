import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DATASET_ROLES, type DatasetRole, type Preprocess, type TritforgeError } from '@tritforge/contracts';
import type { Store } from '../store.js';
import {
  addDataset,
  addModel,
  DATASET_SUMMARY,
  MODEL_SUMMARY,
  makeArtifact,
  REPORT,
  stageText,
  startJob,
} from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

describe('models and datasets', () => {
  let test: TestStore;
  let store: Store;
  before(async () => {
    test = await openTestStore();
    store = test.store;
  });
  after(() => test.close());

  const newModel = async (main: string, external: Record<string, string> = {}, fileName = 'model.onnx') => {
    const files = [{ name: fileName, blob: await stageText(store, main) }];
    for (const [name, text] of Object.entries(external)) files.push({ name, blob: await stageText(store, text) });
    return { files, summary: MODEL_SUMMARY };
  };

  it('give the same model for the same bytes, whatever the file is called', async () => {
    const first = await store.models.create(await newModel('bytes of a model', { 'a.data': '1', 'b.data': '2' }));
    const again = await store.models.create(
      await newModel('bytes of a model', { 'b.data': '2', 'a.data': '1' }, 'x.onnx'),
    );
    assert.equal(first.created, true);
    assert.equal(again.created, false);
    assert.deepEqual(again.value, first.value);
    assert.deepEqual(await store.models.get(first.value.id), first.value);
    assert.equal(first.value.sizeBytes, 'bytes of a model12'.length);
    assert.deepEqual(
      first.value.files.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ['model.onnx', 16],
        ['a.data', 1],
        ['b.data', 1],
      ],
    );
    assert.deepEqual(await store.models.findByContent(first.value.files), first.value);
  });

  it('tell models apart by the names of their external data', async () => {
    const one = await store.models.create(await newModel('with data', { one: 'weights' }));
    const two = await store.models.create(await newModel('with data', { two: 'weights' }));
    const none = await store.models.create(await newModel('with data'));
    assert.equal(new Set([one, two, none].map(({ value }) => value.id)).size, 3);
  });

  it('write one row when the same model is uploaded many times at once', async () => {
    const uploads = await Promise.all(Array.from({ length: 10 }, () => newModel('uploaded at once')));
    const results = await Promise.all(uploads.map((upload) => store.models.create(upload)));
    assert.equal(new Set(results.map(({ value }) => value.id)).size, 1);
    assert.equal(results.filter(({ created }) => created).length, 1);
  });

  it('tell datasets apart by their preprocess description, in any order of its fields', async () => {
    const create = async (preprocess: Preprocess | null) => {
      const file = { name: 'images.zip', blob: await stageText(store, 'images') };
      return (await store.datasets.create({ file, preprocess, summary: DATASET_SUMMARY })).value;
    };
    const plain = await create(null);
    const scaled = await create({ scale: 2, resize: { width: 8, height: 8 } });
    const reordered = await create({ resize: { height: 8, width: 8 }, scale: 2 });
    assert.notEqual(plain.id, scaled.id);
    assert.equal(reordered.id, scaled.id);
    assert.deepEqual(scaled.preprocess, { scale: 2, resize: { width: 8, height: 8 } });
    assert.equal(plain.preprocess, null);
    assert.deepEqual(await store.datasets.findByContent(plain.digest, null), plain);
    await store.datasets.delete(plain.id);
    assert.ok(await store.blobs.stat(plain.digest), 'the other dataset has the same bytes');
    await store.datasets.delete(scaled.id);
    assert.equal(await store.blobs.stat(plain.digest), null);
  });

  it('are not there under unknown ids', async () => {
    assert.equal(await store.models.get('mdl_00000000000000000000000000'), null);
    assert.equal(await store.datasets.get('dst_00000000000000000000000000'), null);
    assert.equal(await store.artifacts.get('art_00000000000000000000000000'), null);
    await assert.rejects(store.models.delete('mdl_00000000000000000000000000'), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(store.datasets.delete('dst_00000000000000000000000000'), { code: 'DATASET_NOT_FOUND' });
  });

  it('cannot be deleted while a job that has not ended uses them', async () => {
    const model = await addModel(store, 'in use');
    const datasets: Record<DatasetRole, string> = { calibration: '', evaluation: '', training: '' };
    for (const role of DATASET_ROLES) datasets[role] = (await addDataset(store, `in use for ${role}`)).id;
    const { id } = await store.jobs.create({ modelId: model.id, recipe: {}, datasets });
    await assert.rejects(store.models.delete(model.id), { code: 'RESOURCE_IN_USE' });
    for (const role of DATASET_ROLES)
      await assert.rejects(store.datasets.delete(datasets[role]), { code: 'RESOURCE_IN_USE' }, role);
    await store.jobs.cancel(id);
    await store.models.delete(model.id);
    for (const role of DATASET_ROLES) await store.datasets.delete(datasets[role]);
    assert.equal(await store.models.get(model.id), null);
    assert.equal((await store.jobs.get(id))?.modelId, model.id);
    assert.equal(await store.blobs.stat(model.digest), null);
  });

  it('keep bytes that a dataset, another model or an artifact shares', async () => {
    const text = 'shared bytes';
    const model = await addModel(store, text);
    const dataset = await addDataset(store, text);
    const claim = await startJob(store, model.id);
    const artifacts = [await makeArtifact(store, text)];
    await store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts });
    await store.models.delete(model.id);
    await store.datasets.delete(dataset.id);
    assert.ok(await store.blobs.stat(model.digest));
    const [artifact] = await store.artifacts.listByJob(claim.jobId);
    assert.equal(artifact?.digest, model.digest);
  });

  it('never lose the bytes of an upload to a delete of the same bytes', async () => {
    for (let round = 0; round < 20; round++) {
      const text = `contested ${round}`;
      const old = await addModel(store, text);
      const uploads = await Promise.all([newModel(text), newModel(text, { extra: text })]);
      const [, ...results] = await Promise.all([
        store.models.delete(old.id),
        ...uploads.map((upload) => store.models.create(upload)),
      ]);
      for (const { value } of results) {
        if (await store.models.get(value.id)) assert.ok(await store.blobs.stat(value.digest), `round ${round}`);
      }
      const survivors = await Promise.all(results.map(({ value }) => store.models.get(value.id)));
      assert.ok(survivors.some(Boolean));
    }
  });

  it('let a job be created on a model, or the model be deleted, but not both', async () => {
    for (let round = 0; round < 10; round++) {
      const { id: modelId } = await addModel(store, `raced ${round}`);
      const [job, deleted] = await Promise.all([
        store.jobs.create({ modelId, recipe: {} }).catch((error: TritforgeError) => error.code),
        store.models.delete(modelId).then(
          () => true,
          (error: TritforgeError) => error.code,
        ),
      ]);
      if (typeof job === 'string') assert.deepEqual([job, deleted], ['MODEL_NOT_FOUND', true]);
      else assert.equal(deleted, 'RESOURCE_IN_USE');
    }
  });

  it('are removed from storage when no row was ever written for them', async () => {
    const orphan = await stageText(store, 'published by a process that died');
    await orphan.publish();
    const kept = await addModel(store, 'still there');
    assert.equal(await store.sweepBlobs(), 1);
    assert.equal(await store.blobs.stat(orphan.digest), null);
    assert.ok(await store.blobs.stat(kept.digest));
  });
});

describe('lists', () => {
  let test: TestStore;
  let store: Store;
  let modelId: string;
  before(async () => {
    test = await openTestStore();
    store = test.store;
    modelId = (await addModel(store, 'model of the lists')).id;
  });
  after(() => test.close());

  it('come newest first, in pages that later items do not shift', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) ids.unshift((await addDataset(store, `dataset ${i}`)).id);
    const first = await store.datasets.list({ limit: 3 });
    assert.deepEqual(
      first.items.map((item) => item.id),
      ids.slice(0, 3),
    );
    await addDataset(store, 'a newer one');
    const second = await store.datasets.list({ limit: 3, cursor: first.nextCursor! });
    const third = await store.datasets.list({ limit: 3, cursor: second.nextCursor! });
    assert.deepEqual(
      [...second.items, ...third.items].map((item) => item.id),
      ids.slice(3),
    );
    assert.equal(third.nextCursor, null);
  });

  it('end without a cursor when the last page is full', async () => {
    const { items, nextCursor } = await store.models.list({ limit: 1 });
    assert.equal(items.length, 1);
    assert.equal(nextCursor, null);
  });

  it('refuse a cursor that was not given out', async () => {
    for (const cursor of ['', 'abc', Buffer.from("x' OR 1=1").toString('base64url')]) {
      await assert.rejects(store.jobs.list({}, { cursor }), { code: 'CURSOR_INVALID' });
    }
  });

  it('of jobs can be filtered by state, model and labels', async () => {
    const create = (labels: Record<string, string>) => store.jobs.create({ modelId, recipe: {}, labels });
    const a = await create({ team: 'vision', run: '1' });
    const b = await create({ team: 'vision', run: '2' });
    const c = await create({ team: 'audio', run: '1' });
    await store.jobs.cancel(b.id);
    const list = async (filter: Parameters<Store['jobs']['list']>[0]) =>
      (await store.jobs.list(filter)).items.map((job) => job.id);
    assert.deepEqual(await list({}), [c.id, b.id, a.id]);
    assert.deepEqual(await list({ states: ['queued'] }), [c.id, a.id]);
    assert.deepEqual(await list({ states: ['queued', 'canceled'], labels: { team: 'vision' } }), [b.id, a.id]);
    assert.deepEqual(await list({ labels: { team: 'vision', run: '1' } }), [a.id]);
    assert.deepEqual(await list({ labels: { team: "' OR true --" } }), []);
    assert.deepEqual(await list({ modelId: 'mdl_00000000000000000000000000' }), []);
    const queued = await store.jobs.list({ states: ['queued'] });
    assert.deepEqual(
      queued.items.map((job) => job.queuePosition),
      [2, 1],
    );
    const page = await store.jobs.list({ labels: { team: 'vision' } }, { limit: 1 });
    assert.deepEqual(
      (await store.jobs.list({ labels: { team: 'vision' } }, { cursor: page.nextCursor! })).items.map((job) => job.id),
      [a.id],
    );
  });
});
