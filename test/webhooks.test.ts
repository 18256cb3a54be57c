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
  for (const none of [`msg_${'0'.repeat(26)}`, '%00', 'x'.repeat(500)])
    await expectProblem(await replay(none), 'DELIVERY_NOT_FOUND');
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

const hosts = (text: string) => text.split(' ').map((host) => `https://${host}/`);
/** Addresses of this machine and its network, also as a check by text would miss them. */
const REFUSED: readonly string[] = [
  ...['http://example.com/hook', 'http://127.0.0.1/', 'https://'],
  ...hosts(
    'user:password@example.com user@example.com example.com@127.0.0.1 127.0.0.1#@example.com 127.0.0.1?@example.com',
  ),
  ...hosts('127.0.0.1 127.1 127.0.1 127.255.255.254 127.0.0.1. 127.0.0.1:8443 0 0.0.0.0'),
  ...hosts('2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 %31%32%37.0.0.1 ①②⑦.⓪.⓪.① 127。0。0。1'),
  ...hosts('256.256.256.256 1.1.1.1.1'),
  ...hosts('169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 100.100.100.200 168.63.129.16 192.0.0.192'),
  ...hosts('10.1.2.3 172.31.0.1 192.168.0.1 100.64.0.1 198.18.0.1 224.0.0.1 255.255.255.255'),
  ...hosts('[::] [::1] [0:0:0:0:0:0:0:1] [::7f00:1] [::127.0.0.1] [fe80::1] [fe80::1%25eth0] [fec0::1] [ff02::1]'),
  ...hosts('[::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:0:7f00:1] [64:ff9b::7f00:1] [64:ff9b:1::a00:1] [fd00:ec2::254]'),
  ...hosts('[2002:7f00:1::] [2001:0:7f00:1::] [2001:db8::1] [4000::1]'),
  ...hosts('localhost LOCALHOST localhost. a.localhost a.localhost. ⓛocalhost loc%61lhost loc\talhost'),
];
/** What is no address of a webhook at all. */
const NO_TARGETS: readonly string[] = [
  ...['ftp://example.com', 'file:///etc/passwd', 'gopher://127.0.0.1', '//127.0.0.1/', ' https://127.0.0.1/'],
  ...['https:127.0.0.1/', 'https:\\\\127.0.0.1', 'https://a\0b/'],
];

test('where webhooks must not be sent to is refused when they are made', async () => {
  const strict = await startStack();
  try {
    for (const url of REFUSED)
      await expectProblem(await strict.fetch('/webhooks', json({ url })), 'WEBHOOK_TARGET_REFUSED');
    for (const url of NO_TARGETS) await expectProblem(await strict.fetch('/webhooks', json({ url })), 'BODY_INVALID');
    assert.equal((await strict.fetch('/webhooks', json({ url: 'https://example.com/hook' }))).status, 201);
  } finally {
    await strict.close();
  }
});
