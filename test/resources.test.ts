/** Models, datasets and jobs over HTTP, without a worker: what is stored, listed, refused and deleted. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { DATASET_ROLES, type Dataset, type Job, type Model } from '@tritforge/contracts';
import type { Page } from '@tritforge/store';
import { labelledSamples, samples } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { classifier, externalWeight, matMul } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
before(async () => {
  stack = await startStack();
});
after(() => stack.close());

const uploadModel = (content: Buffer, name = 'model.onnx') =>
  stack.fetch('/models', form([['model', file(content, name)]]));
const uploadDataset = (content: Buffer) => stack.fetch('/datasets', form([['data', file(content, 'data.npz')]]));
const ready = async <T>(answer: Promise<Response>): Promise<T> => (await answer).json() as Promise<T>;
const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

test('a model is stored under its digest, and the same bytes give the same model', async () => {
  const bytes = classifier(11);
  const first = await uploadModel(bytes, 'folder/first.onnx');
  const model = await expectJson<Model>(first, 201);
  assert.equal(first.headers.get('location'), `/models/${model.id}`);
  assert.equal(model.fileName, 'first.onnx');
  assert.equal(model.digest, digestOf(bytes));
  assert.equal(model.sizeBytes, bytes.length);
  assert.equal(model.summary.quantizableLayers, 4);
  assert.deepEqual(model.summary.inputs, [{ name: 'x', dtype: 'float32', shape: ['N', 3, 8, 8] }]);

  const again = await expectJson<Model>(await uploadModel(bytes, 'second.onnx'), 200);
  assert.deepEqual(again, model);
  assert.deepEqual(await expectJson(await stack.fetch(`/models/${model.id}`), 200), model);
});

test('a model can be the whole body, with its name in a header or in the query', async () => {
  const send = (path: string, headers: Record<string, string>, seed: number) =>
    stack.fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', ...headers },
      body: classifier(seed),
    });
  const named = { 'content-disposition': "attachment; filename*=UTF-8''mod%C3%A8le.onnx" };
  assert.equal((await expectJson<Model>(await send('/models', named, 21), 201)).fileName, 'modèle.onnx');
  assert.equal((await expectJson<Model>(await send('/models?fileName=q.onnx', {}, 22), 201)).fileName, 'q.onnx');
  const digest = `sha-256=:${createHash('sha256').update(classifier(23)).digest('base64')}:`;
  assert.equal((await send('/models', { 'content-digest': digest }, 23)).status, 201);
  await expectProblem(await send('/models', { 'content-digest': digest }, 24), 'DIGEST_MISMATCH');
});

test('a model brings its external data along, in folders and before the model itself', async () => {
  const weights = Buffer.from(Float32Array.from({ length: 16 }, (_, i) => i / 16).buffer);
  const answer = await stack.fetch(
    '/models',
    form([
      ['data', file(weights, 'weights/layer 1.bin')],
      ['model', file(matMul(externalWeight('weights/layer 1.bin')), 'model.onnx')],
    ]),
  );
  const { files } = await expectJson<Model>(answer, 201);
  assert.deepEqual(
    files.map(({ name, digest }) => [name, digest]),
    [
      ['model.onnx', digestOf(matMul(externalWeight('weights/layer 1.bin')))],
      ['weights/layer 1.bin', digestOf(weights)],
    ],
  );
});

test('a dataset is identified by its bytes and its preprocess', async () => {
  const data = ['data', file(samples(4, 31), 'data.npz')] as const;
  const plain = await expectJson<Dataset>(await stack.fetch('/datasets', form([data])), 201);
  assert.equal(plain.summary.samples, 4);
  assert.equal(plain.preprocess, null);
  const scaled = form([['preprocess', '{"scale":0.5}'], data]);
  const other = await expectJson<Dataset>(await stack.fetch('/datasets', scaled), 201);
  assert.notEqual(other.id, plain.id);
  assert.deepEqual(other.preprocess, { scale: 0.5 });
  assert.equal((await stack.fetch('/datasets', scaled)).status, 200);
  assert.deepEqual(await expectJson(await stack.fetch(`/datasets/${plain.id}`), 200), plain);
});

test('lists give pages, newest first, without gaps or repeats', async () => {
  const ids: string[] = [];
  for (let seed = 41; seed < 46; seed++) ids.unshift((await ready<Dataset>(uploadDataset(samples(2, seed)))).id);
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<Dataset> = await ready(stack.fetch(`/datasets?limit=2${query}`));
    assert.ok(page.items.length <= 2);
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
  }
  assert.deepEqual(seen.slice(0, 5), ids);
  assert.equal(new Set(seen).size, seen.length);
});

test('what is deleted is gone, its files too', async () => {
  const before = await stack.footprint();
  const model = await ready<Model>(uploadModel(classifier(51)));
  const dataset = await ready<Dataset>(uploadDataset(samples(3, 51)));
  assert.notDeepEqual(await stack.footprint(), before);
  for (const path of [`/models/${model.id}`, `/datasets/${dataset.id}`]) {
    assert.equal((await stack.fetch(path, { method: 'DELETE' })).status, 204);
    assert.equal((await stack.fetch(path)).status, 404);
    assert.equal((await stack.fetch(path, { method: 'DELETE' })).status, 404);
  }
  assert.deepEqual(await stack.footprint(), before);
});

test('a job is queued, found by state and labels, holds on to its model, and is canceled at once', async () => {
  const model = await ready<Model>(uploadModel(classifier(61)));
  const data = await ready<Dataset>(uploadDataset(labelledSamples(4, 61)));
  const training = await ready<Dataset>(uploadDataset(samples(16, 61)));
  const request = {
    modelId: model.id,
    datasets: { calibration: data.id, evaluation: data.id, training: training.id },
    metric: 'top1',
    recipe: { weights: { groupSize: 4 }, fineTune: { epochs: 1, batch: 8 } },
    labels: { team: 'vision', run: '7' },
  };
  const answer = await stack.fetch('/jobs', json(request));
  const job = await expectJson<Job>(answer, 202);
  assert.equal(answer.headers.get('location'), `/jobs/${job.id}`);
  assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/);
  assert.deepEqual(
    [job.state, job.recipe, job.datasets, job.metric, job.labels, job.queuePosition],
    ['queued', request.recipe, request.datasets, 'top1', request.labels, 1],
  );

  const listed = async (query: string) =>
    (await ready<Page<Job>>(stack.fetch(`/jobs?${query}`))).items.map(({ id }) => id);
  assert.deepEqual(await listed('label=team=vision&label=run=7'), [job.id]);
  assert.deepEqual(await listed('label=team=vision&label=run=8'), []);
  assert.deepEqual(await listed('state=queued&state=running'), [job.id]);
  assert.deepEqual(await listed('state=succeeded'), []);

  await expectProblem(await stack.fetch(`/models/${model.id}`, { method: 'DELETE' }), 'RESOURCE_IN_USE');
  for (const { id } of [data, training]) {
    await expectProblem(await stack.fetch(`/datasets/${id}`, { method: 'DELETE' }), 'RESOURCE_IN_USE');
  }
  for (const report of ['report', 'report.html']) {
    await expectProblem(await stack.fetch(`/jobs/${job.id}/${report}`), 'REPORT_NOT_READY');
    await expectProblem(await stack.fetch(`/jobs/job_01k9zq3v5w8e6r2t4y7u9i1o3p/${report}`), 'JOB_NOT_FOUND');
  }
  assert.deepEqual(await ready(stack.fetch(`/jobs/${job.id}/artifacts`)), { items: [] });

  const canceled = await expectJson<Job>(await stack.fetch(`/jobs/${job.id}/cancel`, { method: 'POST' }), 200);
  assert.equal(canceled.state, 'canceled');
  const again = await expectJson<Job>(await stack.fetch(`/jobs/${job.id}/cancel`, { method: 'POST' }), 200);
  assert.deepEqual(again, canceled);
  for (const report of ['report', 'report.html']) {
    await expectProblem(await stack.fetch(`/jobs/${job.id}/${report}`), 'REPORT_UNAVAILABLE');
  }
  assert.equal((await stack.fetch(`/models/${model.id}`, { method: 'DELETE' })).status, 204);
});

test('a job on what was deleted is refused like one on what never was, also behind jobs that were sent on it', async () => {
  const model = await ready<Model>(uploadModel(classifier(62)));
  const [kept, gone] = [
    await ready<Dataset>(uploadDataset(samples(4, 62))),
    await ready<Dataset>(uploadDataset(samples(5, 62))),
  ];
  const send = (calibration: string) => stack.fetch('/jobs', json({ modelId: model.id, datasets: { calibration } }));
  for (const { id } of [kept, gone]) {
    const job = await expectJson<Job>(await send(id), 202);
    assert.equal((await stack.fetch(`/jobs/${job.id}/cancel`, { method: 'POST' })).status, 200);
  }
  const remove = (path: string) => stack.fetch(path, { method: 'DELETE' });
  const refused = async (id: string, code: string, missing: string) => {
    const { detail, field } = await expectProblem(await send(id), code);
    assert.deepEqual([detail, field], [`There is no ${missing}`, 'id']);
  };
  assert.equal((await remove(`/datasets/${gone.id}`)).status, 204);
  await refused(gone.id, 'DATASET_NOT_FOUND', `dataset with the id ${gone.id}`);
  await expectJson<Job>(await send(kept.id), 202);
  const { items } = await ready<Page<Job>>(stack.fetch('/jobs?state=queued'));
  for (const { id } of items) await stack.fetch(`/jobs/${id}/cancel`, { method: 'POST' });
  assert.equal((await remove(`/models/${model.id}`)).status, 204);
  await refused(kept.id, 'MODEL_NOT_FOUND', `model with the id ${model.id}`);
});

test('a job answers 304 until it changes', async () => {
  const model = await ready<Model>(uploadModel(classifier(71)));
  const job = await ready<Job>(
    stack.fetch('/jobs', json({ modelId: model.id, recipe: { activations: { bits: null } } })),
  );
  const path = `/jobs/${job.id}`;
  const first = await stack.fetch(path);
  const etag = first.headers.get('etag') ?? '';
  assert.match(etag, /^W\/"/);
  assert.ok(first.headers.has('retry-after'));
  assert.equal((await stack.fetch(path, { headers: { 'if-none-match': etag } })).status, 304);
  await stack.fetch(`${path}/cancel`, { method: 'POST' });
  const changed = await stack.fetch(path, { headers: { 'if-none-match': etag } });
  assert.equal(changed.status, 200);
  assert.equal(changed.headers.get('retry-after'), null);
});

test('one form carries model, data and job, in any order', async () => {
  const entries = [
    ['job', '{"recipe":{"weights":{"groupSize":8},"fineTune":{}},"metric":"top1","labels":{"by":"form"}}'],
    ['training', file(samples(4, 83), 'training.npz')],
    ['evaluation', file(labelledSamples(4, 81), 'evaluation.npz')],
    ['model', file(classifier(81), 'model.onnx')],
    ['calibration', file(samples(4, 82), 'calibration.npz')],
  ] as const;
  for (const order of [entries, entries.toReversed()]) {
    const job = await expectJson<Job>(await stack.fetch('/jobs', form(order)), 202);
    assert.deepEqual(job.recipe, { weights: { groupSize: 8 }, fineTune: {} });
    for (const role of DATASET_ROLES) {
      const dataset = await ready<Dataset>(stack.fetch(`/datasets/${job.datasets[role]}`));
      assert.equal(dataset.fileName, `${role}.npz`);
    }
    await stack.fetch(`/jobs/${job.id}/cancel`, { method: 'POST' });
  }
});

test('an upload that breaks off leaves nothing', async () => {
  const before = await stack.footprint();
  const total = 64 * 2 ** 20;
  const chunk = Buffer.alloc(2 ** 20, 1);
  const { hostname, port } = new URL(stack.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: ${total}\r\n\r\n`,
  );
  for (let sent = 0; sent < total / 2; sent += chunk.length) {
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  // Half of it has been received: something is in staging now.
  await eventually(async () => (await stack.footprint()).files.length > before.files.length);
  socket.destroy();
  await eventually(async () => (await stack.footprint()).files.length === before.files.length);
  assert.deepEqual(await stack.footprint(), before);
});
