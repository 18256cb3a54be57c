import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { DATASET_ROLES, type SerializedError, TritforgeError } from '@tritforge/contracts';
import { openStore, type Store } from '../store.js';
import { addDataset, addModel, makeArtifact, REPORT, startJob, WORKER } from '../testing/fixtures.js';
import { openTestStore, type TestStore } from '../testing/index.js';

const LEASE_MS = 250;
const CRASH: SerializedError = new TritforgeError('JOB_CRASHED', 'The process was killed.').toJSON();

describe('jobs', () => {
  let test: TestStore;
  let store: Store;
  /** The same rows with a lease that runs out quickly. */
  let hasty: Store;
  let modelId: string;

  before(async () => {
    test = await openTestStore();
    store = test.store;
    hasty = await openStore({ databaseUrl: test.databaseUrl, blobDir: `${test.dir}/blobs`, leaseMs: LEASE_MS });
    modelId = (await addModel(store, 'the model of all jobs')).id;
  });
  after(async () => {
    await hasty.close();
    await test.close();
  });

  const states = async (jobId: string): Promise<string[]> =>
    (await store.events.read({ jobId: jobId })).map(
      ({ from, to, phase }) => `${from}>${to}${phase ? `:${phase}` : ''}`,
    );

  it('go from queued to succeeded with artifacts, report, gates and a log', async () => {
    const [dataset, training] = [await addDataset(store, 'images'), await addDataset(store, 'more images')];
    const created = await store.jobs.create({
      modelId,
      recipe: { method: 'fgq' },
      datasets: { calibration: dataset.id, training: training.id },
      metric: 'top1',
      gates: { maxAccuracyDrop: 1 },
      deadlineSeconds: 60,
      labels: { team: 'vision' },
    });
    assert.equal(created.state, 'queued');
    assert.equal(created.queuePosition, 1);
    assert.deepEqual(created.datasets, { calibration: dataset.id, training: training.id });

    const claim = await store.jobs.claim(created.id, WORKER);
    assert.ok(claim);
    assert.equal(claim.job.state, 'running');
    assert.ok(claim.job.startedAt);
    const progress = { done: 3, total: 10, unit: 'layers', etaSeconds: 4.5 };
    assert.equal(await store.jobs.heartbeat(claim, { phase: 'calibrate', progress }), true);
    assert.equal(await store.jobs.heartbeat(claim), true);
    const running = await store.jobs.get(created.id);
    assert.deepEqual(running?.progress, progress);
    assert.equal(running?.phase, 'calibrate');

    const gates = [{ name: 'maxAccuracyDrop', limit: 1, value: 0.5, passed: true }];
    const artifacts = [await makeArtifact(store, 'first'), await makeArtifact(store, 'second')];
    assert.equal(await store.jobs.finish(claim, { state: 'succeeded', report: { ...REPORT, gates }, artifacts }), true);

    const ended = await store.jobs.get(created.id);
    assert.equal(ended?.state, 'succeeded');
    assert.deepEqual(ended?.gates, { requested: { maxAccuracyDrop: 1 }, passed: true, results: gates });
    assert.equal(ended?.engineVersion, WORKER.engineVersion);
    assert.ok(ended?.finishedAt);
    assert.deepEqual(await store.jobs.getReport(created.id), { ...REPORT, gates });
    const listed = await store.artifacts.listByJob(created.id);
    assert.deepEqual(
      listed.map((artifact) => artifact.id),
      ended.artifactIds,
    );
    assert.deepEqual(await store.artifacts.get(listed[1]!.id), listed[1]);
    assert.deepEqual(await store.blobs.stat(listed[1]!.digest), { sizeBytes: 'second'.length });
    assert.deepEqual(await states(created.id), [
      'null>queued',
      'queued>running',
      'running>running:calibrate',
      'running>succeeded:calibrate',
    ]);
  });

  it('are claimed by exactly one of a hundred who try at once', async () => {
    const { id } = await store.jobs.create({ modelId, recipe: {} });
    const claims = await Promise.all(Array.from({ length: 100 }, () => store.jobs.claim(id, WORKER)));
    assert.equal(claims.filter(Boolean).length, 1);
    assert.equal((await store.jobs.get(id))?.attempts, 1);
    await store.jobs.cancel(id);
  });

  it('end once when cancel and finish race, with artifacts only if they succeeded', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 20; round++) {
      const claim = await startJob(store, modelId);
      const artifacts = [await makeArtifact(store, `round ${round}`)];
      const finish = () => store.jobs.finish(claim, { state: 'succeeded', report: REPORT, artifacts });
      const cancel = () => store.jobs.cancel(claim.jobId).catch((error: TritforgeError) => error.code);
      const race = round % 2 === 0 ? [finish(), cancel()] : [cancel(), finish()];
      const results = await Promise.all(race);
      const finished = results.includes(true);
      const job = await store.jobs.get(claim.jobId);
      outcomes.add(String(job?.state));
      assert.equal(job?.state, finished ? 'succeeded' : 'canceled');
      assert.equal(results.includes('JOB_ALREADY_ENDED'), finished);
      assert.equal(job.artifactIds.length, finished ? 1 : 0);
      assert.equal((await store.jobs.getReport(claim.jobId)) !== null, finished);
      const terminal = (await states(claim.jobId)).filter((step) => !/>(queued|running)/.test(step));
      assert.equal(terminal.length, 1);
      for (const { files } of artifacts) await Promise.all(files.map((file) => file.blob.discard()));
    }
    assert.ok(outcomes.size > 0);
  });

  it('ignore every call with the token of an attempt that was taken over', async () => {
    const stale = await startJob(hasty, modelId);
    await sleep(LEASE_MS + 50);
    const fresh = await store.jobs.claim(stale.jobId, { id: 'worker-2', engineVersion: '0.1.0' });
    assert.ok(fresh);
    assert.equal(fresh.attempt, 2);
    assert.equal(await store.jobs.heartbeat(stale), false);
    assert.equal(await store.jobs.heartbeat(stale, { phase: 'measure', progress: null }), false);
    assert.equal(await store.jobs.release(stale), false);
    assert.equal(await store.jobs.retry(stale, CRASH), null);
    const artifacts = [await makeArtifact(store, 'of the stale attempt')];
    assert.equal(await store.jobs.finish(stale, { state: 'succeeded', report: REPORT, artifacts }), false);
    assert.equal(await store.blobs.stat(artifacts[0]!.files[0]!.blob.digest), null);
    assert.equal(await store.jobs.heartbeat(fresh), true);
    assert.equal(await store.jobs.finish(fresh, { state: 'failed', error: CRASH }), true);
    assert.equal((await store.jobs.get(stale.jobId))?.state, 'failed');
  });

  it('tell a worker by its next heartbeat that they were canceled', async () => {
    const claim = await startJob(store, modelId);
    assert.equal((await store.jobs.cancel(claim.jobId)).state, 'canceled');
    assert.equal(await store.jobs.heartbeat(claim), false);
    assert.equal((await store.jobs.cancel(claim.jobId)).state, 'canceled');
    assert.equal(await store.jobs.claim(claim.jobId, WORKER), null);
  });

  it('say why they cannot be canceled', async () => {
    const claim = await startJob(store, modelId);
    await store.jobs.finish(claim, { state: 'failed', error: CRASH });
    await assert.rejects(store.jobs.cancel(claim.jobId), { code: 'JOB_ALREADY_ENDED' });
    await assert.rejects(store.jobs.cancel('job_00000000000000000000000000'), { code: 'JOB_NOT_FOUND' });
  });

  it('are not claimed while their lease lasts, and are kept by a late heartbeat', async () => {
    const claim = await startJob(hasty, modelId);
    assert.equal(await store.jobs.claim(claim.jobId, WORKER), null);
    await sleep(LEASE_MS + 50);
    assert.equal(await hasty.jobs.heartbeat(claim), true);
    assert.equal(await store.jobs.claim(claim.jobId, WORKER), null);
    await store.jobs.cancel(claim.jobId);
  });

  it('can be handed back any number of times without losing an attempt', async () => {
    const { id } = await store.jobs.create({ modelId, recipe: {} });
    for (let round = 0; round < 5; round++) {
      const claim = await store.jobs.claim(id, WORKER);
      assert.ok(claim);
      assert.equal(await store.jobs.release(claim), true);
    }
    const job = await store.jobs.get(id);
    assert.deepEqual([job?.state, job?.attempts, job?.startedAt, job?.phase], ['queued', 0, null, null]);
    await store.jobs.cancel(id);
  });

  it('fail with the last error once their attempts are used up', async () => {
    const { id } = await store.jobs.create({ modelId, recipe: {} });
    for (const expected of ['queued', 'queued', 'failed']) {
      const claim = await store.jobs.claim(id, WORKER);
      assert.ok(claim);
      assert.equal(await store.jobs.retry(claim, CRASH), expected);
    }
    assert.deepEqual((await store.jobs.get(id))?.error, CRASH);
    assert.equal(await store.jobs.claim(id, WORKER), null);
  });

  it('fail with JOB_CRASHED when a worker finds their attempts used up', async () => {
    const { jobId } = await startJob(hasty, modelId);
    for (let attempt = 2; attempt <= 3; attempt++) {
      await sleep(LEASE_MS + 30);
      assert.equal((await hasty.jobs.claim(jobId, WORKER))?.attempt, attempt);
    }
    await sleep(LEASE_MS + 30);
    assert.equal(await hasty.jobs.claim(jobId, WORKER), null);
    const job = await store.jobs.get(jobId);
    assert.deepEqual([job?.state, job?.error?.code], ['failed', 'JOB_CRASHED']);
  });

  it('keep report and artifacts when a gate fails them', async () => {
    const claim = await startJob(store, modelId);
    const gates = [{ name: 'minSpeedup', limit: 2, value: 1.1, passed: false }];
    const error = new TritforgeError('GATE_FAILED', 'The artifact is not fast enough.').toJSON();
    const artifacts = [await makeArtifact(store, 'too slow')];
    await store.jobs.finish(claim, { state: 'failed', error, report: { ...REPORT, gates }, artifacts });
    const job = await store.jobs.get(claim.jobId);
    assert.deepEqual([job?.state, job?.error?.code, job?.gates.passed], ['failed', 'GATE_FAILED', false]);
    assert.equal(job?.artifactIds.length, 1);
  });

  it('keep any text that a model can contain', async () => {
    const claim = await startJob(store, modelId);
    const error = new TritforgeError('MODEL_INVALID', 'bad \0 node \ud800', { node: 'a\0b' }).toJSON();
    assert.equal(await store.jobs.finish(claim, { state: 'failed', error }), true);
    assert.deepEqual((await store.jobs.get(claim.jobId))?.error, error);
    const { labels } = await store.jobs.create({ modelId, recipe: {}, labels: { a: 'x\0y\ud800' } });
    assert.deepEqual(labels, { a: 'xy\ufffd' });
  });

  it('are refused on models and datasets that do not exist', async () => {
    const missing = { modelId: 'mdl_00000000000000000000000000', recipe: {} };
    await assert.rejects(store.jobs.create(missing), { code: 'MODEL_NOT_FOUND' });
    for (const role of DATASET_ROLES) {
      const datasets = { [role]: 'dst_00000000000000000000000000' };
      await assert.rejects(store.jobs.create({ modelId, recipe: {}, datasets }), {
        code: 'DATASET_NOT_FOUND',
        context: { field: `datasets.${role}` },
      });
    }
  });

  it('write progress in one query', async () => {
    const claim = await startJob(store, modelId);
    const progress = { done: 0, total: 1, unit: 'layers', etaSeconds: null };
    await store.jobs.heartbeat(claim, { phase: 'quantize', progress });
    const beats = 100;
    const startedMs = performance.now();
    for (let i = 0; i < beats; i++) await store.jobs.heartbeat(claim, { phase: 'quantize', progress });
    assert.ok((performance.now() - startedMs) / beats < 20, 'a heartbeat takes a few milliseconds');
    assert.equal((await states(claim.jobId)).length, 3, 'only the change of phase is logged');
    await store.jobs.cancel(claim.jobId);
  });

  it('know where in a trace they were sent, and tell the worker and webhooks, also when they are gone', async () => {
    const traceContext = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'vendor=1',
    };
    const receiver = { url: 'https://example.com/', eventTypes: ['job.canceled' as const] };
    const webhook = await store.webhooks.create(receiver);
    const [traced, untraced] = [
      await store.jobs.create({ modelId, recipe: {}, traceContext }),
      await store.jobs.create({ modelId, recipe: {} }),
    ];
    for (const [{ id }, context] of [[traced, traceContext] as const, [untraced, null] as const]) {
      assert.deepEqual((await store.jobs.claim(id, WORKER))?.traceContext, context);
      await store.jobs.cancel(id);
      await store.deleteJob(id);
    }
    while ((await store.deliveries.fanOut()) > 0);
    const due = await store.deliveries.due(10);
    assert.equal(due.length, 2);
    for (const context of [traceContext, null]) {
      assert.ok(due.some((delivery) => isDeepStrictEqual(delivery.traceContext, context)));
    }
    await store.webhooks.delete(webhook.id);
  });
});
