/** Requests that are sent again: with an Idempotency-Key each is done once. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { Artifact, Dataset, Job, Model, WebhookDelivery, WebhookWithSecret } from '@tritforge/contracts';
import { Client as Database } from 'pg';
import { labelledSamples } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, type FormEntries, file, form, json } from './support/http.js';
import { jobEnd } from './support/jobs.js';
import { clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { randomIntegers } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';
import { append, type Fetch, metadata, offsetOf, started } from './support/tus.js';

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 1, env: { TRITFORGE_WEBHOOK_TARGETS: 'any' } });
});
after(() => stack.close());

const WEIGHTS_ONLY = { activations: { bits: null } };
const withKey = (init: RequestInit, key: string): RequestInit => ({
  ...init,
  headers: { ...(init.headers as Record<string, string>), 'idempotency-key': key },
});
const post = (path: string, init: RequestInit, key: string) => stack.fetch(path, withKey(init, key));
const rows = async () => (await stack.footprint()).rows;

async function inDatabase(sql: string, ...values: unknown[]): Promise<void> {
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  await db.query(sql, values).finally(() => db.end());
}

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

test('an upload that a process made which was killed before it could say so is found by the next request', async () => {
  const key = randomUUID();
  const fetch: Fetch = (path, init) => stack.fetch(path, init);
  const start = () => started((path, init) => post(path, init!, key), 10, 'killed.onnx');
  const path = await start();
  await append(fetch, path, 0, Buffer.from('begun'));
  const before = await rows();
  await inDatabase(
    `UPDATE once_keys SET status = NULL, headers = NULL, body = NULL, lease_until = clock_timestamp() - interval '1 second' WHERE key = $1`,
    key,
  );
  assert.equal(await start(), path);
  assert.equal(await offsetOf(fetch, path), 5);
  assert.deepEqual(await rows(), before);
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

/** A receiver of webhooks that loses the first message: it reads it and ends the connection. */
async function forgetfulReceiver(): Promise<{ readonly ids: string[]; readonly url: string; close(): void }> {
  const ids: string[] = [];
  const server = createServer((message, response) => {
    ids.push(message.headers['webhook-id'] as string);
    message.resume().on('end', () => (ids.length === 1 ? message.socket.destroy() : response.writeHead(204).end()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { ids, url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

test('a pipeline that sends everything twice and loses answers at random gets one of each, and its files whole', async () => {
  const random = randomIntegers(5);
  const client = await clientOf(stack, 'pipeline');
  const receiver = await forgetfulReceiver();
  const lose = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { ...(init.headers as object), authorization: `Bearer ${client.secret}` };
    await cutOff(path, { ...init, headers }, random() % 150);
    return new Response();
  };
  const blindly = async (path: string, init: RequestInit): Promise<Response> => {
    const keyed = withKey(init, randomUUID());
    for (let cut = 0; cut < 2; cut++) await lose(path, keyed);
    const [first, second] = await Promise.all([client.fetch(path, keyed), client.fetch(path, keyed)]);
    assert.equal(first.status, second.status);
    assert.equal(first.headers.get('location'), second.headers.get('location'));
    assert.equal(await first.text(), await second.clone().text());
    return second;
  };
  try {
    const hook = (await (await blindly('/webhooks', json({ url: receiver.url }))).json()) as WebhookWithSecret;
    const rotated = await blindly(`/webhooks/${hook.id}/rotate`, { method: 'POST' });
    assert.equal(rotated.status, 200);

    const bytes = classifier(9);
    const described = { 'upload-length': `${bytes.length}`, 'upload-metadata': metadata({ filename: 'm.onnx' }) };
    const begun = await blindly('/uploads', { method: 'POST', headers: { 'tus-resumable': '1.0.0', ...described } });
    const path = begun.headers.get('location')!;
    for (let offset = 0; offset < bytes.length; offset = await offsetOf(client.fetch, path)) {
      const piece = bytes.subarray(offset, offset + 50_000);
      await append(lose, path, offset, piece);
      // What came after all is not written again.
      for (let time = 0; time < 2; time++) {
        const { status } = await append(client.fetch, path, offset, piece);
        assert.ok(status === 204 || status === 409, `${status}`);
      }
    }
    const upload = form([['model', `upload:${path.split('/').at(-1)}`]]);
    const model = (await (await blindly('/models', upload)).json()) as Model;
    assert.equal(model.digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    const data = form([['data', file(labelledSamples(4), 'data.npz')]]);
    const { id: evaluation } = (await (await blindly('/datasets', data)).json()) as Dataset;

    const wanted = json({ modelId: model.id, recipe: WEIGHTS_ONLY, datasets: { evaluation } });
    const { id } = (await (await blindly('/jobs', wanted)).json()) as Job;
    const job = await jobEnd(client, id);
    assert.equal(job.state, 'succeeded');
    for (const list of ['/models', '/datasets', '/jobs', `/jobs/${id}/artifacts`, '/webhooks']) {
      const { items } = await expectJson<{ items: unknown[] }>(await client.fetch(list), 200);
      assert.equal(items.length, 1, list);
    }
    const content = `/artifacts/${job.artifactIds[0]}/content`;
    const artifact = await expectJson<Artifact>(await client.fetch(`/artifacts/${job.artifactIds[0]}`), 200);
    await lose(content, { method: 'GET' });
    for (let time = 0; time < 2; time++) {
      const file = Buffer.from(await (await client.fetch(content)).arrayBuffer());
      assert.equal(`sha256:${createHash('sha256').update(file).digest('hex')}`, artifact.digest);
    }

    // One message, which was sent again under its id.
    await eventually(async () => receiver.ids.length === 2, 20_000);
    assert.equal(receiver.ids[0], receiver.ids[1]);
    const deliveries = async () => {
      const page = await client.fetch(`/webhooks/${hook.id}/deliveries`);
      const { items } = await expectJson<{ items: WebhookDelivery[] }>(page, 200);
      return items.map((delivery) => [delivery.id, delivery.state, delivery.attempts]);
    };
    await eventually(async () => (await deliveries())[0]?.[1] === 'delivered');
    assert.deepEqual(await deliveries(), [[receiver.ids[0], 'delivered', 2]]);

    // Deleting twice leaves what deleting once leaves.
    await lose(`/jobs/${id}`, { method: 'DELETE' });
    for (let time = 0; time < 2; time++) {
      const { status } = await client.fetch(`/jobs/${id}`, { method: 'DELETE' });
      assert.ok(status === 204 || status === 404, `${status}`);
    }
    assert.equal((await client.fetch(`/models/${model.id}`)).status, 200);
  } finally {
    receiver.close();
  }
});
