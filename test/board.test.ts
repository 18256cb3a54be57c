/** The board of the queue: pages for people who have a key, to be looked at alone. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ROLES } from '@tritforge/contracts';
import { startTestRedis, type TestRedis } from '@tritforge/store/testing/redis-server';
import type { OpenapiDocument } from './support/conformance.js';
import { expectJson, expectProblem, file } from './support/http.js';
import { startJob } from './support/jobs.js';
import { type Client, clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

const BOARD = '/admin/queues';
const WANTED = JSON.stringify({ recipe: { activations: { bits: null } } });

/** The parts of what the board says of queues that tests look at. */
interface Queues {
  readonly queues: readonly {
    readonly name: string;
    readonly readOnlyMode: boolean;
    readonly isPaused: boolean;
    readonly counts: { readonly waiting: number };
    readonly jobs: readonly { readonly id: string }[];
  }[];
}

const basic = (secret: string, user = 'operator') => ({
  authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`,
});

const redis = await startTestRedis();
after(() => (typeof redis === 'string' ? undefined : redis.close()));

describe('the board of a queue on Redis', { skip: typeof redis === 'string' && redis }, () => {
  let stack: Stack;
  let monitor: Client;
  let jobId: string;
  before(async () => {
    const { redisUrl } = redis as TestRedis;
    stack = await startStack({ env: { REDIS_URL: redisUrl, TRITFORGE_ANONYMOUS: 'never' } });
    monitor = await clientOf(stack, 'default', ROLES.monitor);
    const developer = await clientOf(stack, 'default', ROLES.developer);
    const form = [['model', file(classifier(91), 'm.onnx')] as const, ['job', WANTED] as const];
    jobId = (await startJob(developer, form)).id;
  });
  after(() => stack.close());

  const see = (path: string, init: RequestInit = {}) =>
    fetch(`${stack.url}${BOARD}${path}`, { headers: basic(monitor.secret), ...init });
  const queue = async () => {
    const { queues } = await expectJson<Queues>(await see('/api/queues?activeQueue=tritforge-jobs'), 200);
    assert.equal(queues.length, 1);
    return queues[0]!;
  };

  test('is shown to keys that may read metrics, as the password that browsers ask for or as a token', async () => {
    const bearer = { authorization: `Bearer ${monitor.secret}` };
    for (const headers of [basic(monitor.secret), basic(monitor.secret, ''), bearer])
      for (const path of ['', '/', '/queue/tritforge-jobs', '/api/queues'])
        assert.equal((await fetch(`${stack.url}${BOARD}${path}`, { headers })).status, 200, path);
    const { name, counts, readOnlyMode, jobs } = await queue();
    assert.deepEqual([name, counts.waiting, readOnlyMode], ['tritforge-jobs', 1, true]);
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [jobId],
    );
  });

  test('asks browsers for a key, and is not shown without one that is right', async () => {
    const admin = await clientOf(stack, 'default', ROLES.admin);
    const page = `/queue/tritforge-jobs/${jobId}`;
    for (const path of ['', '/', page, '/api/queues', '/api/redis/stats', '/static/images/logo.svg']) {
      for (const headers of [{}, basic('tf_x'), basic(`${monitor.secret}x`), { authorization: 'Basic :' }]) {
        const response = await see(path, { headers });
        assert.equal(response.headers.get('www-authenticate'), 'Basic realm="tritforge", charset="UTF-8"');
        await expectProblem(response, 'UNAUTHENTICATED');
      }
      await expectProblem(await see(path, { headers: basic(admin.secret) }), 'SCOPE_MISSING');
      const inQuery = await see(`${path}?key=${monitor.secret}`, { headers: {} });
      assert.equal(inQuery.status, 401);
    }
    // Nowhere else do browsers send what they were told here.
    for (const path of ['/metrics', '/jobs', '/me']) {
      const response = await fetch(`${stack.url}${path}`, { headers: basic(monitor.secret) });
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer /);
      await expectProblem(response, 'UNAUTHENTICATED');
    }
  });

  test('loads nothing from elsewhere and cannot be framed', async () => {
    const page = await see('/');
    assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'self'; .*frame-ancestors 'none'$/);
    assert.equal(page.headers.get('x-frame-options'), 'DENY');
    assert.equal(page.headers.get('cache-control'), 'no-store');
    const html = await page.text();
    assert.match(html, /<title>Tritforge<\/title>/);
    const own = [...html.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, source]) => source!);
    assert.ok(own.length >= 5, html);
    for (const source of own) assert.equal((await see(`/${source}`)).status, 200, source);
  });

  test('changes nothing, whatever it is asked', async () => {
    const job = `/api/queues/tritforge-jobs/${jobId}`;
    const attempts: [method: string, path: string][] = [
      ...['/api/queues/pause', '/api/queues/resume'].map((path): [string, string] => ['PUT', path]),
      ...['pause', 'resume', 'empty', 'obliterate', 'promote', 'clean/waiting', 'retry/failed', 'concurrency'].map(
        (action): [string, string] => ['PUT', `/api/queues/tritforge-jobs/${action}`],
      ),
      ...['retry', 'clean', 'promote'].map((action): [string, string] => ['PUT', `${job}/${action}`]),
      ['PATCH', `${job}/update-data`],
      ['POST', '/api/queues/tritforge-jobs/add'],
      ['DELETE', job],
    ];
    for (const [method, path] of attempts) {
      const response = await see(path, {
        method,
        headers: { ...basic(monitor.secret), 'content-type': 'application/json' },
        body: '{}',
      });
      const { code } = (await response.json()) as { code: string };
      assert.ok(['NOT_FOUND', 'METHOD_NOT_ALLOWED'].includes(code), `${method} ${path}: ${response.status} ${code}`);
    }
    const { counts, isPaused } = await queue();
    assert.deepEqual([counts.waiting, isPaused], [1, false]);
  });

  test('is no part of the API that the document describes', async () => {
    const { paths } = (await (await fetch(`${stack.url}/openapi.json`)).json()) as OpenapiDocument;
    assert.ok(!Object.keys(paths).some((path) => path.startsWith('/admin')));
  });

  test('says that the queue cannot be shown while Redis is away', async () => {
    await (redis as TestRedis).close();
    await expectProblem(await see('/api/queues'), 'SERVICE_UNAVAILABLE');
    assert.equal((await see('/')).status, 200);
  });
});

test('without Redis there is no board, and the answer says why', async () => {
  const stack = await startStack({ queue: 'postgres' });
  try {
    for (const path of ['', '/', '/api/queues']) {
      const { detail } = await expectProblem(await fetch(`${stack.url}${BOARD}${path}`), 'NOT_FOUND');
      assert.match(detail, /PostgreSQL/);
    }
  } finally {
    await stack.close();
  }
});
