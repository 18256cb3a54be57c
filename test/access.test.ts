/** Who gets in: no key, wrong keys, keys of another project, keys without the right, and requests without a key. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { type AuditEntry, type Model, ROLES, SCOPES, type Scope } from '@tritforge/contracts';
import { Client as Database } from 'pg';
import type { OpenapiDocument } from './support/conformance.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { type Client, clientOf, revoke } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

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
before(async () => {
  stack = await startStack({ env: { TRITFORGE_ANONYMOUS: 'never' }, workers: 1 });
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
});
after(() => stack.close());

type Guarded = Operation & { readonly scope: readonly Scope[] };

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

test('no route answers without a key, or with one that is none', async () => {
  const wrong = [undefined, 'Bearer ', 'Bearer tf_x', `Bearer ${ours.secret}x`, `Basic ${ours.secret}`, ours.secret];
  for (const { method, path } of guarded())
    for (const authorization of wrong) {
      const headers = authorization === undefined ? {} : { authorization };
      const response = await stack.fetch(filled(path), { method, headers });
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer realm="tritforge"/);
      if (method === 'HEAD') assert.equal(response.status, 401);
      else assert.ok(!(await expectProblem(response, 'UNAUTHENTICATED')).detail.includes(ours.secret));
    }
});

test('no route does what its scopes do not allow, and each is opened by one of its scopes alone', async () => {
  const withScopes = guarded().filter((operation): operation is Guarded => operation.scope !== 'any');
  const sets = new Map(withScopes.map(({ scope }) => [scope.join(), scope]));
  for (const scopes of sets.values()) {
    const rest = SCOPES.filter((other) => !scopes.includes(other));
    const without = await clientOf(stack, 'ours', rest);
    const alone = await Promise.all(scopes.map((scope) => clientOf(stack, 'ours', [scope])));
    for (const { method, path } of withScopes.filter(({ scope }) => scope.join() === scopes.join())) {
      const refused = await without.fetch(filled(path), { method });
      if (method === 'HEAD') assert.equal(refused.status, 403);
      else assert.ok((await expectProblem(refused, 'SCOPE_MISSING')).detail.includes(scopes.join(' or ')));
      for (const client of alone) {
        const { status } = await client.fetch(filled(path), { method });
        assert.ok(status !== 401 && status !== 403, `${method} ${path}: ${status}`);
      }
    }
  }
});

test('a refused upload leaves nothing', async () => {
  const before = await stack.footprint();
  const viewer = await clientOf(stack, 'ours', ROLES.viewer);
  const after = { ...before.rows, api_keys: before.rows.api_keys! + 1 };
  await expectProblem(await viewer.fetch('/models', form([['model', file(classifier(1), 'm.onnx')]])), 'SCOPE_MISSING');
  assert.deepEqual(await stack.footprint(), { ...before, rows: after });
});

test('what one project has is not there for another, whatever it asks', async () => {
  const theirs = await clientOf(stack, 'theirs');
  const model = ['model', file(classifier(2), 'm.onnx')] as const;
  const wanted = ['job', JSON.stringify({ recipe: { activations: { bits: null } } })] as const;
  const job = await jobEnd(ours, (await startJob(ours, [model, wanted])).id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const [artifactId] = job.artifactIds;
  for (const path of [
    `/models/${job.modelId}`,
    `/jobs/${job.id}`,
    `/jobs/${job.id}/report`,
    `/jobs/${job.id}/report.html`,
    `/jobs/${job.id}/artifacts`,
    `/artifacts/${artifactId}`,
    `/artifacts/${artifactId}/content`,
  ]) {
    assert.equal((await ours.fetch(path)).status, 200, path);
    assert.equal((await theirs.fetch(path)).status, 404, path);
  }
  assert.equal((await theirs.fetch(`/models/${job.modelId}`, { method: 'DELETE' })).status, 404);
  assert.equal((await theirs.fetch(`/jobs/${job.id}/cancel`, { method: 'POST' })).status, 404);
  await expectProblem(
    await theirs.fetch('/jobs', json({ modelId: job.modelId, recipe: { activations: { bits: null } } })),
    'MODEL_NOT_FOUND',
  );
  for (const path of ['/models', '/datasets', '/jobs'])
    assert.deepEqual((await expectJson<{ items: unknown[] }>(await theirs.fetch(path), 200)).items, [], path);

  const copy = await expectJson<Model>(await theirs.fetch('/models', form([model])), 201);
  assert.notEqual(copy.id, job.modelId);
  assert.equal((await theirs.fetch(`/models/${copy.id}`, { method: 'DELETE' })).status, 204);
  assert.equal((await ours.fetch(`/models/${job.modelId}`)).status, 200);
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

async function anonymousEntries({ databaseUrl }: Stack): Promise<number> {
  const db = new Database({ connectionString: databaseUrl });
  await db.connect();
  const { rowCount } = await db.query(
    `SELECT FROM audit_entries WHERE project_id IS NULL AND action NOT LIKE 'admin.%'`,
  );
  await db.end();
  return rowCount!;
}

test('without a key, a request from this machine acts for the project default unless somebody passed it on', async () => {
  const local = await startStack();
  try {
    assert.equal((await local.fetch('/models', form([['model', file(classifier(3), 'm.onnx')]]))).status, 201);
    const { items } = await expectJson<{ items: Model[] }>(
      await (await clientOf(local, 'default')).fetch('/models'),
      200,
    );
    assert.equal(items.length, 1);
    for (const header of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip'])
      await expectProblem(await local.fetch('/models', { headers: { [header]: '203.0.113.7' } }), 'UNAUTHENTICATED');
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
    const sent = request(`${url}/models`, { headers: { host } }, (response) => {
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
