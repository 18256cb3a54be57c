/** What comes on a connection: bytes that two servers would read as different requests, and clients that are slow on purpose. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, startStack } from './support/stack.js';

/** How long a client may be slow, in the service under test. */
const SLOW_SECONDS = 1;
/** By when a connection has ended that nobody but its client wants: as long again for the look that notices it, and for this machine. */
const ENDED_MS = 6000;

let stack: Stack;
before(async () => {
  const env = { TRITFORGE_SLOW_CLIENT_SECONDS: `${SLOW_SECONDS}`, TRITFORGE_UPLOAD_IDLE_SECONDS: `${SLOW_SECONDS}` };
  stack = await startStack({ env });
});
after(() => stack.close());

async function connected(): Promise<Socket> {
  const { hostname, port } = new URL(stack.url);
  const socket = connect(Number(port), hostname).setEncoding('latin1');
  // Whoever is sent away while sending may find the connection reset.
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes and, until the connection ends, one more every now and then where there are some. Returns all that came back. */
async function exchange(bytes: string, drip: string | null = null): Promise<string> {
  const socket = await connected();
  socket.write(bytes, 'latin1');
  const dripping = drip === null ? undefined : setInterval(() => socket.writable && socket.write(drip), 150);
  const giveUp = setTimeout(() => socket.destroy(new Error('it goes on')), ENDED_MS);
  let answer = '';
  socket.on('data', (chunk: string) => {
    answer += chunk;
  });
  await once(socket, 'close').catch(() => {});
  clearInterval(dripping);
  clearTimeout(giveUp);
  assert.ok(socket.errored?.message !== 'it goes on', `the connection did not end; it got ${answer.slice(0, 200)}`);
  return answer;
}

const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

const NEXT = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** A POST with these header lines and what follows them, and behind it what another server may take for a request. */
const post = (lines: string, body = '') =>
  `POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${lines}\r\n\r\n${body}${NEXT}`;

const AMBIGUOUS: readonly [what: string, bytes: string][] = [
  ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')],
  ['two lengths', post('Content-Length: 2\r\nContent-Length: 3', '{}')],
  ['a list of lengths', post('Content-Length: 2, 3', '{}')],
  ['a length with a sign', post('Content-Length: +2', '{}')],
  ['a length below zero', post('Content-Length: -2', '{}')],
  ['a length in hexadecimal digits', post('Content-Length: 0x2', '{}')],
  ['a length beyond 64 bits', post('Content-Length: 99999999999999999999', '{}')],
  ['a transfer encoding that is none', post('Transfer-Encoding: xchunked', '0\r\n\r\n')],
  ['a transfer encoding behind chunks', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n')],
  ['a space before a colon', post('Transfer-Encoding : chunked', '0\r\n\r\n')],
  ['a chunk size that is no number', post('Transfer-Encoding: chunked', 'x\r\n\r\n0\r\n\r\n')],
  ['a chunk size with a sign', post('Transfer-Encoding: chunked', '+2\r\n{}\r\n0\r\n\r\n')],
  ['a chunk size beyond 64 bits', post('Transfer-Encoding: chunked', 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n')],
  ['a chunk that is longer than it says', post('Transfer-Encoding: chunked', '2\r\n{}{}\r\n0\r\n\r\n')],
  ['a NUL in a header', post('Content-Length: 0\r\nX-Name: a\0b')],
  ['a carriage return in a header', post('Content-Length: 0\r\nX-Name: a\rb')],
  ['a space in the name of a header', post('Content-Length: 0\r\nX Name: a')],
  ['a control character in the path', `GET /models/a\x01b HTTP/1.1\r\nHost: localhost\r\n\r\n${NEXT}`],
  ['a version that is none', `GET /models HTTP/3.7\r\nHost: localhost\r\n\r\n${NEXT}`],
];
for (const [what, bytes] of AMBIGUOUS) {
  test(`${what} ends the connection with one answer, and nothing behind it is a request`, async () => {
    const answer = await exchange(bytes);
    assert.deepEqual(statuses(answer), [400], answer);
    assert.match(answer, /"code":"REQUEST_MALFORMED"/);
  });
}

test('a body that goes wrong behind its answer gets no second one', async () => {
  const answer = await exchange(
    `POST /jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nx\r\n${NEXT}`,
  );
  assert.ok(statuses(answer).length <= 1, answer);
});

test('what is sent behind a request is answered on its own', async () => {
  const socket = await connected();
  socket.write(`${NEXT}${NEXT}GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  assert.deepEqual(statuses(answer), [200, 200, 200]);
});

const drop = { 'content-type': 'application/json', 'content-length': '100000' };
const chunks = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
const octets = { 'content-type': 'application/octet-stream', 'content-length': '100000' };
const head = (method: string, path: string, fields: Record<string, string> = {}) =>
  `${method} ${path} HTTP/1.1\r\n${Object.entries({ host: 'localhost', ...fields })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

/** What is sent at once, what after it again and again, and the answers that come before the connection ends. */
const SLOW: readonly [what: string, begin: string, drip: string | null, answers: readonly number[]][] = [
  ['nothing', '', null, [408]],
  ['half of a request line', 'GET /mod', null, [408]],
  ['a request line that goes on', 'GET /models?limit=', '1', [408]],
  ['headers that go on', 'GET /models HTTP/1.1\r\nHost: localhost\r\n', 'X-Name: a\r\n', [408]],
  ['JSON that stands still', head('POST', '/jobs', drop), null, [408]],
  ['JSON that goes on', head('POST', '/jobs', drop), ' ', [408]],
  ['JSON in chunks that go on', head('POST', '/jobs', chunks), '1\r\n \r\n', [408]],
  ['a body that a GET does not have', head('GET', '/models', { 'content-length': '100000' }), 'x', [200]],
  ['a body for a route that is not there', head('POST', '/nothing', drop), ' ', [408]],
  ['a body of an unknown type', head('POST', '/models', { ...drop, 'content-type': 'text/plain' }), 'x', [415]],
  ['a file that stands still', head('POST', '/models', octets), null, [408]],
];

test('clients that are slow on purpose are sent away in time, and others are served meanwhile', async () => {
  let isOver = false;
  const serveOthers = async () => {
    for (; !isOver; await sleep(50)) assert.equal((await stack.fetch('/models')).status, 200);
  };
  const others = serveOthers();
  const slow = SLOW.map(async ([what, begin, drip, expected]) => {
    assert.deepEqual(statuses(await exchange(begin, drip)), expected, what);
  });
  await Promise.all(slow).finally(() => {
    isOver = true;
  });
  await others;
});

test('who takes nothing of an answer does not keep it for long', async () => {
  const request = head('GET', '/openapi.json');
  const document = await (await fetch(`${stack.url}/openapi.json`)).arrayBuffer();
  // More than the buffers of a connection hold.
  const count = Math.ceil((32 * 2 ** 20) / document.byteLength);
  const socket = await connected();
  socket.write(request.repeat(count));
  await sleep(3 * SLOW_SECONDS * 1000);
  let received = 0;
  socket.on('data', (chunk: string) => {
    received += chunk.length;
  });
  setTimeout(() => socket.destroy(), ENDED_MS);
  await once(socket, 'close');
  assert.ok(received < (count - 1) * document.byteLength, `${received} bytes came after all`);
});
