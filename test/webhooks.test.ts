/** Webhooks: signed, sent again until they are received, and shown. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import type { Job, Webhook, WebhookDelivery, WebhookWithSecret } from '@tritforge/contracts';
import { Webhook as Verifier } from 'standardwebhooks';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, json } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { type Client, clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

/** What arrived. */
interface Message {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

let stack: Stack;
let client: Client;
let receiver: Server;
let origin: string;
const received: Message[] = [];
/** What the receiver answers, by path. */
const answers = new Map<string, number[]>();
before(async () => {
  stack = await startStack({ env: { TRITFORGE_WEBHOOK_TARGETS: 'any' }, workers: 1 });
  client = await clientOf(stack, 'told');
  receiver = createServer(async (request, response) => {
    const path = request.url!;
    received.push({ path, headers: request.headers as Record<string, string>, body: await text(request) });
    response.writeHead(answers.get(path)?.shift() ?? 204).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  origin = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
after(async () => {
  receiver.close();
  await stack.close();
});

async function makeWebhook(path: string, fields: object = {}): Promise<WebhookWithSecret> {
  const response = await client.fetch('/webhooks', json({ url: `${origin}${path}`, ...fields }));
  const made = await expectJson<WebhookWithSecret>(response, 201);
  assert.equal(response.headers.get('location'), `/webhooks/${made.id}`);
  return made;
}

const at = (path: string) => received.filter((message) => message.path === path);
const deliveriesOf = async ({ id }: Webhook) =>
  (await expectJson<{ items: WebhookDelivery[] }>(await client.fetch(`/webhooks/${id}/deliveries`), 200)).items;
async function runJob(service: Client, seed: number): Promise<Job> {
  const wanted = JSON.stringify({ recipe: { activations: { bits: null } } });
  const { id } = await startJob(service, [
    ['model', file(classifier(seed), 'm.onnx')],
    ['job', wanted],
  ]);
  return jobEnd(service, id);
}

test('the end of a job is told once to who wants to know it, signed, with the job', async () => {
  const ends = await makeWebhook('/ends');
  const starts = await makeWebhook('/starts', { eventTypes: ['job.running'] });
  const job = await runJob(client, 1);
  await runJob(await clientOf(stack, 'not-told'), 2);
  await eventually(async () => at('/ends').length === 1 && at('/starts').length === 1);
  const [message] = at('/ends');
  const told = new Verifier(ends.secret).verify(message!.body, message!.headers) as { type: string; data: object };
  assert.equal(told.type, 'job.succeeded');
  assert.deepEqual(told.data, job);
  assert.throws(() => new Verifier(starts.secret).verify(message!.body, message!.headers));
  assert.throws(() => new Verifier(ends.secret).verify(`${message!.body} `, message!.headers));
  assert.equal((JSON.parse(at('/starts')[0]!.body) as { data: { state: string } }).data.state, 'running');
  await eventually(async () => (await deliveriesOf(ends))[0]?.state === 'delivered');
  const [delivery] = await deliveriesOf(ends);
  assert.deepEqual([delivery!.id, delivery!.attempts, delivery!.lastStatus], [message!.headers['webhook-id'], 1, 204]);
});

test('a message that is not received is sent again, the same, and its log says why', async () => {
  answers.set('/flaky', [500]);
  const webhook = await makeWebhook('/flaky');
  await client.fetch(`/webhooks/${webhook.id}/test`, { method: 'POST' });
  await eventually(async () => (await deliveriesOf(webhook))[0]?.lastStatus === 500);
  const [failed] = await deliveriesOf(webhook);
  assert.equal(failed!.state, 'pending');
  const waitMs = Date.parse(failed!.nextAttemptAt!) - Date.parse(failed!.createdAt);
  assert.ok(waitMs > 4000 && waitMs < 12_000, `${waitMs} ms`);
  await eventually(async () => (await deliveriesOf(webhook))[0]?.state === 'delivered', 15_000);
  const [first, second] = at('/flaky');
  assert.equal(second!.body, first!.body);
  assert.equal(second!.headers['webhook-id'], first!.headers['webhook-id']);
  new Verifier(webhook.secret).verify(second!.body, second!.headers);
});

test('a message can be sent again by hand', async () => {
  const webhook = await makeWebhook('/replayed');
  const tested = await client.fetch(`/webhooks/${webhook.id}/test`, { method: 'POST' });
  const { id } = await expectJson<WebhookDelivery>(tested, 202);
  await eventually(async () => at('/replayed').length === 1);
  await eventually(async () => (await deliveriesOf(webhook))[0]?.state === 'delivered');
  const replay = (delivery: string) =>
    client.fetch(`/webhooks/${webhook.id}/deliveries/${delivery}/replay`, { method: 'POST' });
  assert.equal((await expectJson<WebhookDelivery>(await replay(id), 202)).state, 'pending');
  await eventually(async () => at('/replayed').length === 2);
  assert.equal(at('/replayed')[1]!.headers['webhook-id'], id);
  await expectProblem(await replay(`msg_${'0'.repeat(26)}`), 'DELIVERY_NOT_FOUND');
});

test('a secret can be changed without a message that its receiver would refuse', async () => {
  const webhook = await makeWebhook('/rotated');
  const rotated = await expectJson<WebhookWithSecret>(
    await client.fetch(`/webhooks/${webhook.id}/rotate`, { method: 'POST' }),
    200,
  );
  assert.notEqual(rotated.secret, webhook.secret);
  await client.fetch(`/webhooks/${webhook.id}/test`, { method: 'POST' });
  await eventually(async () => at('/rotated').length === 1);
  const [message] = at('/rotated');
  for (const { secret } of [webhook, rotated]) new Verifier(secret).verify(message!.body, message!.headers);
});

test('a receiver that is gone is told nothing more', async () => {
  answers.set('/gone', [410]);
  const webhook = await makeWebhook('/gone');
  await client.fetch(`/webhooks/${webhook.id}/test`, { method: 'POST' });
  await eventually(async () => (await deliveriesOf(webhook))[0]?.state === 'failed');
  const seen = await expectJson<Webhook>(await client.fetch(`/webhooks/${webhook.id}`), 200);
  assert.notEqual(seen.disabledAt, null);
  assert.equal((await deliveriesOf(webhook))[0]!.lastStatus, 410);
  await runJob(client, 3);
  assert.equal(at('/gone').length, 1);
});

test('secrets are shown when they are made, and webhooks of one project are not there for another', async () => {
  const webhook = await makeWebhook('/hidden');
  const other = await clientOf(stack, 'nosy');
  const { items } = await expectJson<{ items: object[] }>(await client.fetch('/webhooks'), 200);
  assert.ok(!JSON.stringify([items, await deliveriesOf(webhook)]).includes('whsec_'));
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/deliveries'],
    ['POST', '/rotate'],
    ['POST', '/test'],
    ['DELETE', ''],
  ] as const)
    await expectProblem(await other.fetch(`/webhooks/${webhook.id}${path}`, { method }), 'WEBHOOK_NOT_FOUND');
  assert.equal((await client.fetch(`/webhooks/${webhook.id}`, { method: 'DELETE' })).status, 204);
  await expectProblem(await client.fetch(`/webhooks/${webhook.id}`), 'WEBHOOK_NOT_FOUND');
});

test('where webhooks must not be sent to is refused when they are made', async () => {
  const strict = await startStack();
  try {
    for (const url of [
      'http://example.com/hook',
      'https://127.0.0.1/hook',
      'https://[::1]/hook',
      'https://169.254.169.254/latest/meta-data',
      'https://10.1.2.3/',
      'https://localhost/',
      'https://0x7f000001/',
      'https://user:password@example.com/',
    ])
      await expectProblem(await strict.fetch('/webhooks', json({ url })), 'WEBHOOK_TARGET_REFUSED');
    await expectProblem(await strict.fetch('/webhooks', json({ url: 'ftp://example.com' })), 'BODY_INVALID');
    assert.equal((await strict.fetch('/webhooks', json({ url: 'https://example.com/hook' }))).status, 201);
  } finally {
    await strict.close();
  }
});
