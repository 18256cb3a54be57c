import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { seededRandom } from '@tritforge/store/testing/random';
import { type BlindClient, createBlindClient } from './blind-client.js';

/** Answers by turns; the last one stays. `cut` breaks the connection. */
let turns: (readonly [status: number, body: object] | 'cut')[];
let requests: IncomingMessage[];
let server: Server;
let client: BlindClient;
before(async () => {
  server = createServer((request, response) => {
    requests.push(request);
    const turn = turns.length > 1 ? turns.shift()! : turns[0]!;
    if (turn === 'cut') request.socket.destroy();
    else response.writeHead(turn[0], { 'content-type': 'application/json' }).end(JSON.stringify(turn[1]));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => {
  server.close();
  server.closeAllConnections();
});
beforeEach(() => {
  requests = [];
  client = createBlindClient([`http://127.0.0.1:${(server.address() as AddressInfo).port}`], seededRandom(1));
});

test('it sends a request until something answers that does not pass, and counts what did', async () => {
  turns = ['cut', [503, { code: 'SERVICE_UNAVAILABLE' }], [409, { code: 'IDEMPOTENCY_IN_PROGRESS' }], [202, { id: 1 }]];
  const response = await client.withKey('k')('/jobs', { method: 'POST' });
  assert.deepEqual(await response.json(), { id: 1 });
  assert.deepEqual(
    [...client.attempts.failures],
    [
      ['no answer', 1],
      ['503 SERVICE_UNAVAILABLE', 1],
      ['409 IDEMPOTENCY_IN_PROGRESS', 1],
    ],
  );
  assert.deepEqual(new Set(requests.map(({ headers }) => headers['idempotency-key'])), new Set(['k']));
});

test('what does not pass is an answer', async () => {
  turns = [[404, { code: 'JOB_NOT_FOUND' }]];
  assert.equal((await client.send('/jobs/x')).status, 404);
  assert.equal(client.attempts.again, 0);
});

test('one attempt has no answer where it fails', async () => {
  turns = [[500, { code: 'INTERNAL' }]];
  assert.equal(await client.once('/uploads/x', { method: 'PATCH' }), null);
  assert.equal(requests.length, 1);
});

test('two answers to requests with one key are told', async () => {
  // Every so often it sends one twice.
  for (let request = 0; request < 20 && client.attempts.differences.length === 0; request++) {
    turns = [
      [202, { id: 1 }],
      [202, { id: 2 }],
    ];
    await client.withKey(`${request}`)('/jobs', { method: 'POST' });
  }
  assert.deepEqual(client.attempts.differences, ['POST /jobs had two answers with one key']);
});
