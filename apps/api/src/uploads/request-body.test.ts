import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { type BodyLimits, RequestBody } from './request-body.js';

const LIMITS: BodyLimits = { maxBytes: 1000, idleMs: 10_000, sha256: null };

/** Serves one request; answers with the number of bytes or the code of the error. */
async function serve(limits: BodyLimits) {
  const outcomes: string[] = [];
  const server = createServer(async (request, response) => {
    const outcome = await readAll(request, limits).catch((error) =>
      error instanceof TritforgeError ? error.code : String(error),
    );
    outcomes.push(outcome);
    response.end(outcome);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    outcomes,
    port,
    url: `http://127.0.0.1:${port}/`,
    [Symbol.dispose]: () => server.close().closeAllConnections(),
  };
}

async function readAll(request: IncomingMessage, limits: BodyLimits): Promise<string> {
  let bytes = 0;
  for await (const chunk of new RequestBody(request, limits)) bytes += chunk.length;
  return String(bytes);
}

async function send(url: string, body: string | ReadableStream): Promise<string> {
  const response = await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit);
  return response.text();
}

test('a body within the limits arrives whole', async () => {
  using server = await serve({ ...LIMITS, sha256: createHash('sha256').update('a'.repeat(1000)).digest('hex') });
  assert.equal(await send(server.url, 'a'.repeat(1000)), '1000');
});

test('a body that announces too many bytes, or sends them unannounced, is refused and answered', async () => {
  using server = await serve(LIMITS);
  assert.equal(await send(server.url, 'a'.repeat(1001)), 'UPLOAD_TOO_LARGE');
  const unannounced = new Blob(['a'.repeat(5_000_000)]).stream();
  assert.equal(await send(server.url, unannounced), 'UPLOAD_TOO_LARGE');
});

test('a body that differs from its announced digest is refused', async () => {
  using server = await serve({ ...LIMITS, sha256: createHash('sha256').update('other').digest('hex') });
  assert.equal(await send(server.url, 'hello'), 'DIGEST_MISMATCH');
});

test('a client that stalls is given up with an answer, one that is slow is not', async () => {
  using server = await serve({ ...LIMITS, idleMs: 80 });
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n';
  const stalled = connect(server.port, '127.0.0.1').setEncoding('utf8');
  stalled.write(`${head}abc`);
  let answer = '';
  for await (const chunk of stalled) answer += chunk;
  assert.match(answer, /REQUEST_TIMEOUT/);

  const slow = connect(server.port, '127.0.0.1').setEncoding('utf8');
  slow.write(head);
  for (const byte of 'abcdef') {
    await sleep(40);
    slow.write(byte);
  }
  answer = '';
  for await (const chunk of slow) answer += chunk;
  assert.match(answer, /\r\n\r\n(1\r\n)?6/);
});

test('a connection that breaks off makes the body incomplete', async () => {
  using server = await serve(LIMITS);
  const socket = connect(server.port, '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc');
  await sleep(50);
  socket.destroy();
  for (let i = 0; i < 100 && server.outcomes.length === 0; i++) await sleep(10);
  assert.deepEqual(server.outcomes, ['UPLOAD_INCOMPLETE']);
});
