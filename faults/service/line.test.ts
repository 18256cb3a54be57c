import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Line, openLine } from './line.js';

let echo: Server;
let line: Line;
before(async () => {
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  line = await openLine((echo.address() as AddressInfo).port);
});
after(async () => {
  await line.close();
  echo.close();
});

async function connected(): Promise<Socket> {
  const socket = connect(line.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Waits for the end of a connection, by a reset too, to which `once` would throw. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

async function echoed(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = await once(socket, 'data');
  return String(chunk);
}

test('an open line passes everything on, and a cut one takes new connections', async () => {
  const socket = await connected();
  assert.equal(await echoed(socket, 'first'), 'first');
  line.cut();
  await ended(socket);
  const next = await connected();
  assert.equal(await echoed(next, 'second'), 'second');
  next.destroy();
});

test('a closed line resets connections, new ones too, until it is open', async () => {
  const socket = await connected();
  assert.equal(await echoed(socket, 'first'), 'first');
  line.set('closed');
  await ended(socket);
  const refused = connect(line.port, '127.0.0.1');
  refused.on('error', () => {});
  await ended(refused);
  line.set('open');
  const next = await connected();
  assert.equal(await echoed(next, 'second'), 'second');
  next.destroy();
});

test('a silent line holds what is sent, on old and new connections, and passes it on later', async () => {
  const socket = await connected();
  assert.equal(await echoed(socket, 'first'), 'first');
  line.set('silent');
  const late = await connected();
  const answers = [once(socket, 'data'), once(late, 'data')];
  socket.write('held');
  late.write('held too');
  const silence = Symbol('silence');
  assert.equal(await Promise.race([...answers, sleep(100, silence)]), silence);
  line.set('open');
  assert.deepEqual((await Promise.all(answers)).map(String), ['held', 'held too']);
  socket.destroy();
  late.destroy();
});
