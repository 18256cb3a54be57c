/** Requests that are sent again: with an Idempotency-Key each is done once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import type { Dataset, Job, Model } from '@tritforge/contracts';
import { labelledSamples } from './support/datasets.js';
import { expectJson, expectProblem, type FormEntries, file, form, json } from './support/http.js';
import { jobEnd } from './support/jobs.js';
import { clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { randomIntegers } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 1 });
});
after(() => stack.close());

const WEIGHTS_ONLY = { activations: { bits: null } };
const withKey = (init: RequestInit, key: string): RequestInit => ({
  ...init,
  headers: { ...(init.headers as Record<string, string>), 'idempotency-key': key },
});
const post = (path: string, init: RequestInit, key: string) => stack.fetch(path, withKey(init, key));
const rows = async () => (await stack.footprint()).rows;

async function uploadedModel(seed: number): Promise<Model> {
  const response = await stack.fetch('/models', form([['model', file(classifier(seed), 'm.onnx')]]));
  return expectJson<Model>(response, 201);
}

test('many requests with one key at once make one job, and all get its answer', async () => {
  const { id: modelId } = await uploadedModel(1);
  const before = await rows();
  const key = randomUUID();
  const body = json({ modelId, recipe: WEIGHTS_ONLY });
  const responses = await Promise.all(Array.from({ length: 12 }, () => post('/jobs', body, key)));
  const jobs = await Promise.all(responses.map((response) => expectJson<Job>(response, 202)));
  assert.equal(new Set(jobs.map((job) => JSON.stringify(job))).size, 1);
  assert.deepEqual(new Set(responses.map(({ headers }) => headers.get('location'))), new Set([`/jobs/${jobs[0]!.id}`]));
  assert.equal(responses.filter(({ headers }) => headers.get('idempotency-replayed') === 'true').length, 11);
  assert.equal((await rows()).jobs, before.jobs! + 1);
});

test('the same form is the same request, whatever its boundary and the order of its parts', async () => {
  const key = randomUUID();
  const entries: FormEntries = [
    ['model', file(classifier(2), 'm.onnx')],
    ['job', JSON.stringify({ recipe: WEIGHTS_ONLY, labels: { a: '1', b: '2' } })],
  ];
  const turned: FormEntries = [
    ['job', JSON.stringify({ labels: { b: '2', a: '1' }, recipe: WEIGHTS_ONLY })],
    entries[0]!,
  ];
  const first = await expectJson<Job>(await post('/jobs', form(entries), key), 202);
  assert.deepEqual(await expectJson<Job>(await post('/jobs', form(turned, 'another-boundary'), key), 202), first);
  const other: FormEntries = [['model', file(classifier(3), 'm.onnx')], entries[1]!];
  await expectProblem(await post('/jobs', form(other), key), 'IDEMPOTENCY_KEY_REUSED');
});

test('a key belongs to one request: another body, route or path is told so', async () => {
  const { id: modelId } = await uploadedModel(4);
  const key = randomUUID();
  const job = await expectJson<Job>(await post('/jobs', json({ modelId, recipe: WEIGHTS_ONLY }), key), 202);
  const others: [path: string, init: RequestInit][] = [
    ['/jobs', json({ modelId, recipe: { ...WEIGHTS_ONLY, seed: 1 } })],
    [`/jobs/${job.id}/cancel`, { method: 'POST' }],
    ['/models', form([['model', file(classifier(5), 'm.onnx')]])],
  ];
  for (const [path, init] of others) await expectProblem(await post(path, init, key), 'IDEMPOTENCY_KEY_REUSED');
});

test('what failed is not kept: the corrected request may have the key', async () => {
  const { id: modelId } = await uploadedModel(6);
  const key = randomUUID();
  await expectProblem(await post('/jobs', json({ modelId }), key), 'CALIBRATION_REQUIRED');
  await expectJson<Job>(await post('/jobs', json({ modelId, recipe: WEIGHTS_ONLY }), key), 202);
});

test('uploads and cancels are answered as before too', async () => {
  const upload = form([['model', file(classifier(7), 'm.onnx')]]);
  const [key, cancelKey] = [randomUUID(), randomUUID()];
  const model = await expectJson<Model>(await post('/models', upload, key), 201);
  assert.deepEqual(await expectJson<Model>(await post('/models', upload, key), 201), model);
  const created = await stack.fetch('/jobs', json({ modelId: model.id, recipe: WEIGHTS_ONLY }));
  const { id } = await expectJson<Job>(created, 202);
  const cancel = () => post(`/jobs/${id}/cancel`, { method: 'POST' }, cancelKey);
  const canceled = await expectJson<Job>(await cancel(), 200);
  assert.deepEqual(await expectJson<Job>(await cancel(), 200), canceled);
});

test('a key is 1 to 255 visible characters', async () => {
  for (const key of ['', ' ', 'a b', 'x'.repeat(256), 'ä'])
    await expectProblem(await post('/jobs', json({}), key), 'HEADER_INVALID');
});

test('projects do not share keys', async () => {
  const [ours, theirs] = [await clientOf(stack, 'ours'), await clientOf(stack, 'theirs')];
  const key = randomUUID();
  const upload = withKey(form([['model', file(classifier(8), 'm.onnx')]]), key);
  const mine = await expectJson<Model>(await ours.fetch('/models', upload), 201);
  const other = await expectJson<Model>(await theirs.fetch('/models', upload), 201);
  assert.notEqual(mine.id, other.id);
});

/** Sends a request and cuts the connection after so many milliseconds, without a look at the answer. */
function cutOff(path: string, { method, headers, body }: RequestInit, afterMs: number): Promise<void> {
  return new Promise((resolve) => {
    const sent = request(`${stack.url}${path}`, { method: method!, headers: headers as Record<string, string> });
    sent.on('error', () => {}).on('close', resolve);
    sent.end(body as Buffer | string | undefined);
    setTimeout(() => sent.destroy(), afterMs);
  });
}

test('a pipeline that sends everything twice and loses answers at random gets one job and one artifact', async () => {
  const random = randomIntegers(5);
  const client = await clientOf(stack, 'pipeline');
  const blindly = async (path: string, init: RequestInit): Promise<Response> => {
    const keyed = withKey(init, randomUUID());
    const headers = { ...(keyed.headers as object), authorization: `Bearer ${client.secret}` };
    for (let cut = 0; cut < 2; cut++) await cutOff(path, { ...keyed, headers }, random() % 150);
    const [first, second] = await Promise.all([client.fetch(path, keyed), client.fetch(path, keyed)]);
    assert.equal(first.status, second.status);
    assert.equal(await first.text(), await second.clone().text());
    return second;
  };
  const upload = form([['model', file(classifier(9), 'm.onnx')]]);
  const { id: modelId } = (await (await blindly('/models', upload)).json()) as Model;
  const data = form([['data', file(labelledSamples(4), 'data.npz')]]);
  const { id: evaluation } = (await (await blindly('/datasets', data)).json()) as Dataset;
  const wanted = json({ modelId, recipe: WEIGHTS_ONLY, datasets: { evaluation } });
  const { id } = (await (await blindly('/jobs', wanted)).json()) as Job;
  assert.equal((await jobEnd(client, id)).state, 'succeeded');
  for (const path of ['/models', '/datasets', '/jobs', `/jobs/${id}/artifacts`]) {
    const { items } = await expectJson<{ items: unknown[] }>(await client.fetch(path), 200);
    assert.equal(items.length, 1, path);
  }
});
