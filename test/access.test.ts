/** Who gets in: no key, wrong keys, keys of another project, keys without the right, and requests without a key. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as requestHttp } from 'node:http';
import { after, before, test } from 'node:test';
import {
  type AuditEntry,
  type Dataset,
  type Model,
  ROLES,
  SCOPES,
  type Scope,
  type Webhook,
  type WebhookDelivery,
} from '@tritforge/contracts';
import { Client as Database } from 'pg';
import type { OpenapiDocument } from './support/conformance.js';
import { samples } from './support/datasets.js';
import { start as startDirect } from './support/direct.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { type Client, clientOf, revoke } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { uploaded } from './support/tus.js';

/** What an operation asks for, from the document alone. */
interface Operation {
  readonly method: string;
  readonly path: string;
  /** The scopes of which one will do, `any` valid key, or null for routes that anybody may use. */
  readonly scope: readonly Scope[] | 'any' | null;
}

let stack: Stack;
let operations: Operation[];
let ours: Client;
/** See `everything`. */
let ids: Record<string, string>;
before(async () => {
  // A bucket has uploads straight to it beside all else.
  stack = await startStack({ storage: 's3', env: { TRITFORGE_ANONYMOUS: 'never' }, workers: 1 });
  const document = (await (await fetch(`${stack.url}/openapi.json`)).json()) as OpenapiDocument;
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const { security } = operation as { security?: { apiKey?: Scope[] }[] };
      const scopes = (security ?? []).flatMap(({ apiKey = [] }) => apiKey);
      const scope = security === undefined ? null : scopes.length > 0 ? scopes : 'any';
      return { method: method.toUpperCase(), path, scope };
    }),
  );
  ours = await clientOf(stack, 'ours');
  ids = await everything(ours);
});
after(() => stack.close());

/** What of the paths without an id is no list of what a project has. */
const NO_LISTS: readonly string[] = ['/me', '/metrics', '/events'];

const guarded = () => operations.filter(({ scope }) => scope !== null);
/** Something that could be there. */
const filled = (path: string) =>
  path
    .replace('{id}', `${{ m: 'mdl', d: 'dst', j: 'job', a: 'art', w: 'whk', u: 'upl' }[path[1]!]}_${'0'.repeat(26)}`)
    .replace('{delivery}', `msg_${'0'.repeat(26)}`);

test('everything but health, documentation and error codes asks for a key', () => {
  const open = operations.filter(({ scope }) => scope === null).map(({ path }) => path);
  assert.deepEqual(open.sort(), [
    '/',
    '/health/live',
    '/health/ready',
    '/openapi.json',
    '/problems',
    '/problems/{code}',
    '/uploads',
  ]);
  assert.ok(guarded().length >= 15);
  const any = guarded().filter(({ scope }) => scope === 'any');
  assert.deepEqual(
    any.map(({ path }) => path),
    ['/me'],
  );
});

test('no route answers without a key, or with one that is none, has expired or was revoked', async () => {
  const [expired, revoked] = [
    await clientOf(stack, 'ours', SCOPES, new Date(Date.now() - 1000)),
    await clientOf(stack, 'ours', SCOPES),
  ];
  await revoke(stack, revoked);
  const bearers = ['', 'tf_x', `${ours.secret}x`, ours.secret.toUpperCase(), expired.secret, revoked.secret];
  const wrong = [undefined, ...bearers.map((secret) => `Bearer ${secret}`), `Basic ${ours.secret}`, ours.secret];
  for (const { method, path } of guarded())
    for (const authorization of wrong) {
      const headers = authorization === undefined ? {} : { authorization };
      const response = await stack.fetch(filled(path), { method, headers });
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer realm="tritforge"/);
      if (method === 'HEAD') assert.equal(response.status, 401);
      else assert.ok(!(await expectProblem(response, 'UNAUTHENTICATED')).detail.includes(ours.secret));
    }
});

/** Sets of scopes that a key may have: none, each alone, and all but one. */
const SCOPE_SETS: readonly (readonly Scope[])[] = [
  [],
  ...SCOPES.map((scope) => [scope]),
  ...SCOPES.map((scope) => SCOPES.filter((other) => other !== scope)),
];

test('every route is opened by one of its scopes and by nothing else', async () => {
  for (const scopes of SCOPE_SETS) {
    const client = await clientOf(stack, 'scoped', scopes);
    const asked = guarded().map(async ({ method, path, scope }) => {
      const response = await client.fetch(filled(path), { method });
      const what = `${method} ${path} with ${scopes.join() || 'no scope'}: ${response.status}`;
      const mayDoIt = scope === 'any' || (scope as readonly Scope[]).some((one) => scopes.includes(one));
      assert.ok(mayDoIt ? response.status !== 401 && response.status !== 403 : response.status === 403, what);
      if (mayDoIt || method === 'HEAD') return response.body?.cancel();
      const { detail } = await expectProblem(response, 'SCOPE_MISSING');
      assert.ok(detail.includes([scope].flat().join(' or ')), what);
    });
    await Promise.all(asked);
  }
});

test('a refused upload leaves nothing', async () => {
  const before = await stack.footprint();
  const viewer = await clientOf(stack, 'ours', ROLES.viewer);
  const after = { ...before.rows, api_keys: before.rows.api_keys! + 1 };
  await expectProblem(await viewer.fetch('/models', form([['model', file(classifier(1), 'm.onnx')]])), 'SCOPE_MISSING');
  assert.deepEqual(await stack.footprint(), { ...before, rows: after });
});

/** The ids of a project that has something of each kind, by what stands before them in paths. */
async function everything({ fetch: send }: Client): Promise<Record<string, string>> {
  const made = async <T>(path: string, init: RequestInit, status: number) =>
    expectJson<T>(await send(path, init), status);
  const { id: datasets } = await made<Dataset>('/datasets', form([['data', file(samples(2), 'data.npz')]]), 201);
  const started = await startJob({ fetch: send }, [
    ['model', file(classifier(2), 'm.onnx')],
    ['job', JSON.stringify({ recipe: { activations: { bits: null } } })],
  ]);
  const { id: jobs, modelId: models, artifactIds, error } = await jobEnd({ fetch: send }, started.id);
  assert.equal(error, null);
  const { id: webhooks } = await made<Webhook>('/webhooks', json({ url: 'https://receiver.invalid/' }), 201);
  const { id: delivery } = await made<WebhookDelivery>(`/webhooks/${webhooks}/test`, { method: 'POST' }, 202);
  const uploads = (await uploaded(send, Buffer.from('abc'))).replace('upload:', '');
  const { id: direct } = await startDirect(send, { content: Buffer.from('abc') });
  return { models, datasets, jobs, webhooks, delivery, uploads, 'uploads/direct': direct, artifacts: artifactIds[0]! };
}

/** A request that an operation would do something for. */
function request({ method, path }: Operation): RequestInit {
  const digest = `sha256:${'0'.repeat(64)}`;
  if (path.endsWith('/parts')) return json({ parts: [{ number: 1, digest }] });
  if (path.endsWith('/finish')) return json({ parts: [{ number: 1, digest, etag: '"0"' }] });
  if (path.startsWith('/uploads/')) {
    const tus = { 'tus-resumable': '1.0.0', 'upload-offset': '3' };
    const piece = { 'content-type': 'application/offset+octet-stream' };
    return method === 'PATCH' ? { method, headers: { ...tus, ...piece }, body: 'x' } : { method, headers: tus };
  }
  return method === 'PATCH' ? json({ expiresInSeconds: 60 }, method) : { method };
}

test('what one project has is not there for another, whatever it asks', async () => {
  const theirs = await clientOf(stack, 'theirs');
  const real = (path: string) =>
    path.replace(/^\/([\w/]+)\/\{id\}/, (_, kind) => `/${kind}/${ids[kind]}`).replace('{delivery}', ids.delivery!);
  const ofOne = guarded().filter(({ path }) => path.includes('{'));
  assert.ok(ofOne.length >= 25);
  for (const operation of ofOne) {
    const path = real(operation.path);
    assert.doesNotMatch(path, /undefined|\{/, 'say above what there is of this kind');
    const refused = await theirs.fetch(path, request(operation));
    assert.equal(refused.status, 404, `${operation.method} ${path}`);
    if (operation.method !== 'HEAD') assert.match(((await refused.json()) as { code: string }).code, /_NOT_FOUND$/);
  }
  // What was refused has changed nothing, and the ids are those of things that are there.
  for (const operation of ofOne.filter(({ method }) => method === 'GET' || method === 'HEAD')) {
    const found = await ours.fetch(real(operation.path), request(operation));
    assert.ok(found.status < 300, `${operation.method} ${real(operation.path)}: ${found.status}`);
    await found.body?.cancel();
  }
  const kept = await expectJson<Model>(await ours.fetch(`/models/${ids.models}`), 200);
  assert.equal(kept.expiresAt, null);
});

test('what one project has is in no list of another, and cannot be used by it', async () => {
  const theirs = await clientOf(stack, 'others');
  const isList = ({ method, path }: Operation) => method === 'GET' && !path.includes('{') && !NO_LISTS.includes(path);
  const lists = guarded().filter(isList);
  assert.ok(lists.length >= 5);
  for (const { path } of lists) {
    const { items } = await expectJson<{ items: { keyId?: string }[] }>(await theirs.fetch(path), 200);
    assert.ok(
      items.every(({ keyId }) => keyId === theirs.keyId),
      path,
    );
  }
  const wanted = { recipe: { activations: { bits: null } } };
  const modelId = ids.models;
  await expectProblem(await theirs.fetch('/jobs', json({ ...wanted, modelId })), 'MODEL_NOT_FOUND');
  const model = ['model', file(classifier(2), 'm.onnx')] as const;
  const copy = await expectJson<Model>(await theirs.fetch('/models', form([model])), 201);
  assert.notEqual(copy.id, modelId);
  const datasets = { evaluation: ids.datasets };
  const borrowed = json({ ...wanted, modelId: copy.id, datasets });
  await expectProblem(await theirs.fetch('/jobs', borrowed), 'DATASET_NOT_FOUND');
  await expectProblem(await theirs.fetch('/models', form([['model', `upload:${ids.uploads}`]])), 'UPLOAD_NOT_FOUND');
  assert.equal((await theirs.fetch(`/models/${copy.id}`, { method: 'DELETE' })).status, 204);
  assert.equal((await ours.fetch(`/models/${modelId}`)).status, 200);
});

test('a revoked key is no key from then on', async () => {
  const client = await clientOf(stack, 'ours');
  assert.equal((await client.fetch('/jobs')).status, 200);
  await revoke(stack, client);
  await expectProblem(await client.fetch('/jobs'), 'UNAUTHENTICATED');
});

test('who changed what, or tried to, can be read by who may, for their own project', async () => {
  const [admin, viewer] = [await clientOf(stack, 'audited'), await clientOf(stack, 'audited', ROLES.viewer)];
  const model = await expectJson<Model>(
    await admin.fetch('/models', form([['model', file(classifier(4), 'm.onnx')]])),
    201,
  );
  await expectProblem(await viewer.fetch(`/models/${model.id}`, { method: 'DELETE' }), 'SCOPE_MISSING');
  assert.equal((await admin.fetch(`/models/${model.id}`, { method: 'DELETE' })).status, 204);
  assert.equal((await admin.fetch('/models')).status, 200);
  await expectProblem(await viewer.fetch('/audit'), 'SCOPE_MISSING');
  // Nobody without a key can fill the log.
  await expectProblem(await stack.fetch('/models', { method: 'POST' }), 'UNAUTHENTICATED');
  const entries = async () => (await expectJson<{ items: AuditEntry[] }>(await admin.fetch('/audit'), 200)).items;
  await eventually(async () => (await entries()).length === 3);
  assert.deepEqual(
    (await entries()).map(({ keyId, action, target, status }) => [keyId, action, target, status]),
    [
      [admin.keyId, 'deleteModel', `/models/${model.id}`, 204],
      [viewer.keyId, 'deleteModel', `/models/${model.id}`, 403],
      [admin.keyId, 'uploadModel', '/models', 201],
    ],
  );
  assert.ok((await entries()).every(({ requestId, address }) => requestId !== null && address === '127.0.0.1'));
  assert.equal(await anonymousEntries(stack), 0);
});

test('an API process that ends has written what was asked of it', async () => {
  const { secret, fetch: fetchOfOthers } = await clientOf(stack, 'ending');
  const ending = await stack.startApi();
  const headers = { authorization: `Bearer ${secret}` };
  const remove = () => fetch(`${ending.url}/models/mdl_00000000000000000000000000`, { method: 'DELETE', headers });
  const [count, ended] = [20, once(ending.process, 'exit')];
  for (const answer of await Promise.all(Array.from({ length: count }, remove))) assert.equal(answer.status, 404);
  ending.process.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  const { items } = await expectJson<{ items: AuditEntry[] }>(await fetchOfOthers('/audit'), 200);
  assert.deepEqual(
    items.map(({ action, status }) => `${action} ${status}`),
    Array(count).fill('deleteModel 404'),
  );
});

async function anonymousEntries({ databaseUrl }: Stack): Promise<number> {
  const db = new Database({ connectionString: databaseUrl });
  await db.connect();
  const { rowCount } = await db.query(
    `SELECT FROM audit_entries WHERE project_id IS NULL AND action NOT LIKE 'admin.%'`,
  );
  await db.end();
  return rowCount!;
}

const PROXY_HEADERS = [
  ...['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'],
  ...['x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip', 'cf-connecting-ip'],
];
const JSON_TYPE = { 'content-type': 'application/json' };

test('without a key, a request from this machine acts for the project default unless somebody passed it on', async () => {
  const local = await startStack();
  try {
    assert.equal((await local.fetch('/models', form([['model', file(classifier(3), 'm.onnx')]]))).status, 201);
    const { items } = await expectJson<{ items: Model[] }>(
      await (await clientOf(local, 'default')).fetch('/models'),
      200,
    );
    assert.equal(items.length, 1);
    for (const header of PROXY_HEADERS)
      await expectProblem(await local.fetch('/models', { headers: { [header]: '203.0.113.7' } }), 'UNAUTHENTICATED');
    // A page in a browser may send forms anywhere; those of the service itself are its documentation.
    const { host, origin } = new URL(local.url);
    for (const foreign of ['https://evil.example', 'null', `https://${host}`, 'http://localhost:1']) {
      const sent = await local.fetch('/jobs', { method: 'POST', headers: { origin: foreign } });
      await expectProblem(sent, 'UNAUTHENTICATED');
    }
    const ownPage = await local.fetch('/jobs', { ...json({ modelId: 'none' }), headers: { ...JSON_TYPE, origin } });
    await expectProblem(ownPage, 'BODY_INVALID');
    // A page in a browser whose name was made to point here.
    assert.equal(await statusOf(local, 'rebound.example:80'), 401);
    assert.equal(await statusOf(local, 'localhost'), 200);
    assert.equal(await statusOf(local, '[::1]:8080'), 200);
  } finally {
    await local.close();
  }
});

/** `fetch` does not let a caller choose the Host header. */
function statusOf({ url }: Stack, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = requestHttp(`${url}/models`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    sent.on('error', reject).end();
  });
}

test('the document says which keys a route takes, and whether it needs one', async () => {
  const named = (document: OpenapiDocument) =>
    (document.paths['/models']!.post as unknown as { security: object[] }).security;
  const strict = (await (await fetch(`${stack.url}/openapi.json`)).json()) as OpenapiDocument;
  assert.deepEqual(named(strict), [{ apiKey: ['models:write'] }]);
});
