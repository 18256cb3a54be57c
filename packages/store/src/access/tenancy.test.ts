/** What belongs to one project is not there for another. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ProjectStore } from '../store.js';
import { DATASET_SUMMARY, MODEL_SUMMARY, stageText } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

describe('two projects', () => {
  let service: TestStore;
  let ours: ProjectStore;
  let theirs: ProjectStore;
  before(async () => {
    service = await openTestStore();
    const { projects } = service.store;
    ours = service.store.inProject((await projects.create('ours')).id);
    theirs = service.store.inProject((await projects.create('theirs')).id);
  });
  after(() => service.close());

  const addModel = async (project: ProjectStore, text: string) => {
    const files = [{ name: 'model.onnx', blob: await stageText(service.store, text) }];
    return project.models.create({ files, summary: MODEL_SUMMARY });
  };
  const addDataset = async (project: ProjectStore, text: string) => {
    const file = { name: 'data.npz', blob: await stageText(service.store, text) };
    return project.datasets.create({ file, preprocess: null, summary: DATASET_SUMMARY });
  };

  it('have rows of their own of the same bytes, which lie in storage once and as long as one needs them', async () => {
    const mine = await addModel(ours, 'same');
    const other = await addModel(theirs, 'same');
    assert.deepEqual([mine.created, other.created], [true, true]);
    assert.notEqual(mine.value.id, other.value.id);
    assert.equal(mine.value.digest, other.value.digest);
    await ours.models.delete(mine.value.id);
    assert.notEqual(await service.store.blobs.stat(mine.value.digest), null);
    await theirs.models.delete(other.value.id);
    assert.equal(await service.store.blobs.stat(mine.value.digest), null);
  });

  it('do not learn from each other what is there', async () => {
    const { value: model } = await addModel(ours, 'secret model');
    const { value: dataset } = await addDataset(ours, 'secret data');
    const content = [{ name: 'model.onnx', digest: model.digest }];
    assert.notEqual(await ours.models.findByContent(content), null);
    assert.equal(await theirs.models.findByContent(content), null);
    assert.notEqual(await ours.datasets.findByContent(dataset.digest, null), null);
    assert.equal(await theirs.datasets.findByContent(dataset.digest, null), null);
    assert.equal(await theirs.models.get(model.id), null);
    assert.equal(await theirs.datasets.get(dataset.id), null);
    assert.deepEqual((await theirs.models.list()).items, []);
    assert.deepEqual((await theirs.datasets.list()).items, []);
    await assert.rejects(theirs.models.delete(model.id), { code: 'MODEL_NOT_FOUND' });
    await assert.rejects(theirs.datasets.delete(dataset.id), { code: 'DATASET_NOT_FOUND' });
    assert.notEqual(await service.store.models.get(model.id), null, 'the store itself sees all');
  });

  it('cannot use or touch what the other has', async () => {
    const { value: model } = await addModel(ours, 'model');
    const { value: dataset } = await addDataset(ours, 'data');
    const { value: own } = await addModel(theirs, 'model');
    await assert.rejects(theirs.submitJob({ modelId: model.id, recipe: {} }), { code: 'MODEL_NOT_FOUND' });
    const datasets = { calibration: dataset.id };
    await assert.rejects(theirs.submitJob({ modelId: own.id, recipe: {}, datasets }), { code: 'DATASET_NOT_FOUND' });
    const job = await ours.submitJob({ modelId: model.id, recipe: {}, datasets });
    assert.equal(await theirs.jobs.get(job.id), null);
    assert.deepEqual((await theirs.jobs.list()).items, []);
    assert.deepEqual(await theirs.events.read({ jobId: job.id }), []);
    assert.equal(await theirs.jobs.getReport(job.id), null);
    assert.deepEqual(await theirs.artifacts.listByJob(job.id), []);
    await assert.rejects(theirs.cancelJob(job.id), { code: 'JOB_NOT_FOUND' });
    assert.equal((await ours.jobs.get(job.id))?.state, 'queued');
    assert.equal((await ours.cancelJob(job.id)).state, 'canceled');
  });
});
