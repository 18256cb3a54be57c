import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { send } from './send.js';

const ANY = { allowPrivate: true, timeoutMs: 500 };
const PUBLIC = { allowPrivate: false, timeoutMs: 500 };

let server: Server;
let origin: string;
let answer: RequestListener;
let seen: { request: IncomingMessage; body: string }[] = [];
before(async () => {
  server = createServer(async (request, response) => {
    seen.push({ request, body: await text(request) });
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

test('a message is posted with its headers, and its answer is told', async () => {
  seen = [];
  answer = (_, response) => response.writeHead(202).end();
  const sent = await send(`${origin}/hook?x=1`, { 'webhook-id': 'msg_1' }, '{"ä":1}', ANY);
  assert.deepEqual(sent, { status: 202, retryAfter: undefined });
  const [{ request, body }] = seen as [(typeof seen)[number]];
  assert.deepEqual([request.method, request.url, body], ['POST', '/hook?x=1', '{"ä":1}']);
  assert.equal(request.headers['content-type'], 'application/json');
  assert.equal(request.headers['webhook-id'], 'msg_1');
  assert.match(request.headers['user-agent'] ?? '', /^Tritforge\//);
});

test('a redirect is an answer and nothing more', async () => {
  seen = [];
  answer = (_, response) => response.writeHead(302, { location: `${origin}/elsewhere` }).end();
  assert.deepEqual(await send(`${origin}/hook`, {}, '{}', ANY), { status: 302, retryAfter: undefined });
  assert.equal(seen.length, 1);
});

test('a receiver may say when to come again, and need not be listened to for long', async () => {
  answer = (_, response) => {
    response.writeHead(503, { 'retry-after': '120' });
    // An answer without an end.
    const timer = setInterval(() => response.write('x'.repeat(1000)), 10);
    response.on('close', () => clearInterval(timer));
  };
  assert.deepEqual(await send(origin, {}, '{}', ANY), { status: 503, retryAfter: '120' });
});

test('a receiver that does not answer is given up', async () => {
  answer = () => {};
  assert.deepEqual(await send(origin, {}, '{}', ANY), { error: 'no answer within 0.5 s' });
});

test('a receiver that is not there is said to be so', async () => {
  const sent = await send('http://127.0.0.1:1/', {}, '{}', ANY);
  assert.match('error' in sent ? sent.error : '', /ECONNREFUSED/);
});

test('nothing is sent to what is not public, in whatever spelling', async () => {
  seen = [];
  const { port } = new URL(origin);
  for (const host of [
    '127.0.0.1',
    'localhost',
    'LOCALHOST.',
    '0',
    '0x7f000001',
    '2130706433',
    '0177.0.0.1',
    '127.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::7f00:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '①②⑦.⓪.⓪.①',
    '%31%32%37.0.0.1',
    'a.localhost',
    '169.254.169.254',
    '10.0.0.1',
    '[fd00::1]',
  ]) {
    const sent = await send(`https://${host}:${port}/`, {}, '{}', PUBLIC);
    assert.match('error' in sent ? sent.error : String(sent.status), /not a public address|ENOTFOUND|EAI_AGAIN/, host);
  }
  for (const url of [`${origin}/`, 'http://example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'no url'])
    assert.ok('error' in (await send(url, {}, '{}', PUBLIC)), url);
  assert.equal(seen.length, 0);
});
