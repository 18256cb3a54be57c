/** Requests that are sent again, to a server that says what it likes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { longestPauseMs } from './backoff.js';
import { retryAfterMs } from './retry-after.js';
import { Transport } from './transport.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Sends requests to a server that gives these answers one after the other, the last one again and again. */
async function withAnswers(
  answers: readonly Answer[],
  work: (url: string, requests: IncomingMessage[]) => Promise<void>,
) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answers[Math.min(requests.length, answers.length) - 1]!(request.resume(), response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const json: Answer = (_request, response) =>
  void response.setHeader('content-type', 'application/json; charset=utf-8').end('{"ok":true}');
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    void response.writeHead(code, headers).end();
const problem =
  (code: string, statusCode: number): Answer =>
  (_request, response) =>
    void response
      .writeHead(statusCode, { 'content-type': 'application/problem+json' })
      .end(JSON.stringify({ code, detail: 'Why.', status: statusCode, retryable: false }));
const cutOff: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
  response.write('{"ok":', () => response.destroy());
};
const POST = { method: 'POST', path: '/jobs', body: '{}' } as const;

test('what passes is sent again with one key, until it succeeds', async () => {
  const passing = [status(503), status(502), cutOff, problem('IDEMPOTENCY_IN_PROGRESS', 409), json];
  await withAnswers(passing, async (url, requests) => {
    assert.deepEqual(await new Transport({ url }).json(POST), { ok: true });
    assert.equal(requests.length, 5);
    const keys = new Set(requests.map(({ headers }) => headers['idempotency-key']));
    assert.equal(keys.size, 1);
    assert.match(String([...keys][0]), /^[0-9a-f-]{36}$/);
  });
});

test('it comes back when the service asks for it, and not when that is too late', async () => {
  await withAnswers([status(429, { 'retry-after': '2' }), json], async (url) => {
    const startedMs = performance.now();
    await new Transport({ url, retryMs: 5000 }).json(POST);
    assert.ok(performance.now() - startedMs >= 1990);
  });
  await withAnswers([status(503, { 'retry-after': '60' })], async (url, requests) => {
    await assert.rejects(new Transport({ url, retryMs: 5000 }).json(POST), { code: 'ANSWER_INVALID' });
    assert.equal(requests.length, 1);
  });
});

test('patience begins with the first failure', async () => {
  const late: Answer = (request, response) => void setTimeout(() => status(503)(request, response), 700);
  await withAnswers([late, json], async (url, requests) => {
    assert.deepEqual(await new Transport({ url, retryMs: 600 }).json(POST), { ok: true });
    assert.equal(requests.length, 2);
  });
  await withAnswers([status(503)], async (url, requests) => {
    const latestMs = performance.now() + 100;
    await assert.rejects(new Transport({ url }).json({ ...POST, latestMs }), { code: 'ANSWER_INVALID' });
    assert.equal(requests.length, 1);
  });
});

test('what stays is sent once', async () => {
  for (const [answer, code] of [
    [problem('MODEL_INVALID', 422), 'MODEL_INVALID'],
    [problem('OF_THE_FUTURE', 400), 'OF_THE_FUTURE'],
    [status(404), 'ANSWER_INVALID'],
    [status(500), 'ANSWER_INVALID'],
    [status(307, { location: '/elsewhere' }), 'ANSWER_INVALID'],
  ] as const) {
    await withAnswers([answer], async (url, requests) => {
      await assert.rejects(new Transport({ url }).json(POST), { code });
      assert.equal(requests.length, 1);
    });
  }
});

test('an attempt without an answer ends with its time, a call with its signal', async () => {
  await withAnswers([() => {}, json], async (url, requests) => {
    const transport = new Transport({ url });
    assert.deepEqual(await transport.json({ ...POST, timeoutMs: 200 }), { ok: true });
    assert.equal(requests.length, 2);
  });
  await withAnswers([status(503)], async (url) => {
    const signal = AbortSignal.timeout(300);
    await assert.rejects(new Transport({ url }).json({ ...POST, signal }), { name: 'TimeoutError' });
  });
});

test('addresses keep their path, and are addresses', async () => {
  await withAnswers([json], async (url, requests) => {
    await new Transport({ url: `${url}/quantize/` }).json({ method: 'GET', path: '/jobs' });
    assert.equal(requests[0]!.url, '/quantize/jobs');
    assert.equal(requests[0]!.headers['idempotency-key'], undefined);
  });
  for (const url of ['tritforge', 'ftp://x', 'http://user:word@x', 'http://x?y'])
    assert.throws(() => new Transport({ url }), TypeError, url);
});

test('Retry-After is seconds or a date, pauses double up to a limit', () => {
  const nowMs = Date.parse('2026-11-22T10:00:00Z');
  assert.equal(retryAfterMs('3', nowMs), 3000);
  assert.equal(retryAfterMs('Sun, 22 Nov 2026 10:00:05 GMT', nowMs), 5000);
  assert.deepEqual([retryAfterMs('soon', nowMs), retryAfterMs(null, nowMs), retryAfterMs('-1', nowMs)], [0, 0, 0]);
  assert.deepEqual([0, 1, 2, 10].map(longestPauseMs), [500, 1000, 2000, 20_000]);
});
