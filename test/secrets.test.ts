/**
 * Secrets stay where they belong. A service at its most verbose does everything that there is to do, failures and crashes included; then all
 * that its processes wrote, all that clients were told and all rows of the database are searched for them.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Model, SCOPES, type WebhookWithSecret } from '@tritforge/contracts';
import { Client as Database } from 'pg';
import { endlessLoop } from './support/bad-models.js';
import { samples } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { expectJson, file, form, json } from './support/http.js';
import { jobEnd, jobWhen, startJob } from './support/jobs.js';
import { type Client, clientOf, revoke } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { uploaded } from './support/tus.js';

const API = fileURLToPath(new URL('../../apps/api/dist/server.js', import.meta.url));
const STORAGE_SECRET = 'storage-secret-of-the-operator';
/** In the path and the query of a webhook, where receivers like to have it. */
const TOKEN = 'token-of-a-receiver';

let stack: Stack;
let client: Client;
let receiver: Server;
let output = '';
const told: string[] = [];
before(async () => {
  receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(500).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  stack = await startStack({
    storage: 's3',
    workers: 1,
    env: {
      TRITFORGE_LOG_LEVEL: 'trace',
      TRITFORGE_WEBHOOK_TARGETS: 'any',
      TRITFORGE_SOURCES: 's3://tritforge-test/shared',
      TRITFORGE_S3_PREFIX: 'service',
      AWS_SECRET_ACCESS_KEY: STORAGE_SECRET,
    },
    onOutput: (text) => {
      output += text;
    },
  });
  client = await clientOf(stack, 'secretive', SCOPES);
});
after(async () => {
  receiver.close();
  await stack.close();
});

/** Sends a request and keeps what it was answered. */
async function send(path: string, init?: RequestInit, secret = client.secret): Promise<Response> {
  const headers = { ...(init?.headers as Record<string, string>), authorization: `Bearer ${secret}` };
  const response = await fetch(`${stack.url}${path}`, { ...init, headers });
  const text = await response.text();
  told.push(`${response.status} ${JSON.stringify([...response.headers])} ${text}`);
  return new Response(text || null, response);
}

/** Secrets by what they are, and how the database may have them: in no row, or in those of these tables. */
const secrets = new Map<string, { readonly secret: string; readonly tables: readonly string[] }>();
const keep = (what: string, secret: string, ...tables: string[]) => secrets.set(what, { secret, tables });

async function rowsWith(secret: string): Promise<string[]> {
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  try {
    const { rows } = await db.query(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    const found: string[] = [];
    for (const { name } of rows as { name: string }[]) {
      const search = `SELECT FROM ${name} AS entry WHERE position($1 IN entry::text) > 0`;
      const { rowCount } = await db.query(search, [secret]);
      if (rowCount! > 0) found.push(name);
    }
    return found;
  } finally {
    await db.end();
  }
}

test('uploads, jobs and webhooks, refused ones too', async () => {
  keep('the key', client.secret);
  await stack.putObject('shared/net.onnx', classifier(301));
  const model = ['model', file(classifier(302), 'm.onnx')] as const;
  const { id: modelId } = await expectJson<Model>(await send('/models', form([model])), 201);
  await send('/models', form([['model', 's3://tritforge-test/shared/net.onnx']]));
  await send('/models', form([['model', 's3://tritforge-test/shared/none.onnx']]));
  await send('/models', form([['model', 's3://elsewhere/none.onnx']]));
  await send('/models', form([['model', file(Buffer.from('no model'), 'm.onnx')]]));
  await send('/models', form([['model', await uploaded(client.fetch, classifier(303), 'm.onnx')]]));
  await send('/datasets', form([['data', file(samples(4), 'data.npz')]]));
  await send('/jobs', json({ modelId }));

  const { port } = receiver.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/${TOKEN}?token=${TOKEN}`;
  keep('a token in the URL of a webhook', TOKEN, 'public.webhooks', 'public.once_keys');
  const asked = { ...json({ url }), headers: { 'content-type': 'application/json', 'idempotency-key': 'once' } };
  const made = await expectJson<WebhookWithSecret>(await send('/webhooks', asked), 201);
  const change = await send(`/webhooks/${made.id}/rotate`, { method: 'POST' });
  const rotated = await expectJson<WebhookWithSecret>(change, 200);
  keep('the former secret of a webhook', made.secret, 'public.webhooks', 'public.once_keys');
  keep('the secret of a webhook', rotated.secret, 'public.webhooks');
  await send('/webhooks', json({ url: 'https://operator:password-of-a-url@example.com/' }));
  keep('a password in a URL that was refused', 'password-of-a-url');
  await send(`/webhooks/${made.id}/test`, { method: 'POST' });
  await eventually(async () => output.includes('webhook failed'));
  // What is in these answers is for whoever made the webhook.
  told.splice(0, told.length, ...told.filter((text) => !text.includes('whsec_')));
});

test('keys that are wrong, in the wrong place, revoked or without the right', async () => {
  const [gone, weak] = [await clientOf(stack, 'secretive'), await clientOf(stack, 'secretive', [])];
  await revoke(stack, gone);
  keep('a revoked key', gone.secret);
  keep('a key without rights', weak.secret);
  await send('/models', undefined, gone.secret);
  await send('/models', form([]), weak.secret);
  const mistyped = `${client.secret.slice(0, -1)}_`;
  keep('a mistyped key', mistyped);
  await send('/models', undefined, mistyped);
  await send(`/jobs?key=${client.secret}`);
  await send('/jobs', { headers: { 'x-api-key': client.secret, cookie: `key=${client.secret}` } });
});

test('a job that succeeds, one that is canceled and one whose process and worker are killed', async () => {
  const wanted = ['job', JSON.stringify({ recipe: { activations: { bits: null } } })] as const;
  const model = (content: Buffer) => ['model', file(content, 'm.onnx')] as const;
  const { id } = await startJob(client, [model(classifier(304)), wanted]);
  assert.equal((await jobEnd(client, id)).state, 'succeeded');
  await send(`/jobs/${id}/report`);
  const running = async () => {
    const job = await startJob(client, [model(endlessLoop()), wanted]);
    return jobWhen(client, job.id, ({ state }) => state === 'running');
  };
  await send(`/jobs/${(await running()).id}/cancel`, { method: 'POST' });
  assert.equal((await running()).state, 'running');
  const died = once(stack.workers[0]!, 'exit');
  stack.workers[0]!.kill('SIGKILL');
  await died;
});

test('a service that cannot start', () => {
  const password = 'password-of-the-database';
  keep('a password that is wrong', password);
  for (const DATABASE_URL of [
    stack.databaseUrl.replace(/:[^:@]+@/, `:${password}@`),
    `postgresql://tritforge:${password}@127.0.0.1:1/tritforge`,
    `postgres:tritforge:${password}`,
    `tritforge:${password}@127.0.0.1`,
  ]) {
    const env = { ...process.env, DATABASE_URL, TRITFORGE_LOG_LEVEL: 'trace', TRITFORGE_DATA_DIR: stack.dataDir };
    const { status, stdout, stderr } = spawnSync(process.execPath, [API], { env, encoding: 'utf8', timeout: 30_000 });
    assert.notEqual(status, 0);
    assert.match(stderr, /cannot start/);
    output += stdout + stderr;
  }
});

test('nothing of it is where it does not belong', async () => {
  keep('the password of the database', new URL(stack.databaseUrl).password);
  keep('the secret of the storage', STORAGE_SECRET);
  for (const [what, { secret, tables }] of secrets) {
    assert.ok(secret.length > 15, what);
    assert.deepEqual((await rowsWith(secret)).sort(), [...tables].sort(), what);
  }
  // Without its database the service says everything that it knows.
  await stack.stopDatabase();
  await send('/models');
  await send('/health/ready');
  await eventually(async () => /"level":(40|50)/.test(output));
  for (const [what, { secret }] of secrets) {
    // What the searched text has of it, and around it.
    for (const [where, text] of [
      ['the log', output],
      ['answers', told.join('\n')],
    ] as const) {
      const at = text.indexOf(secret);
      assert.equal(at, -1, `${what} is in ${where}: ${text.slice(Math.max(0, at - 300), at)}`);
    }
  }
  for (const sign of ['incoming request', 'job started', 'webhook failed']) assert.ok(output.includes(sign), sign);
});
