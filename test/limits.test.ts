/** What the service does at its limits: too many uploads, stalled ones, no database, and a shutdown under way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Model } from '@tritforge/contracts';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
before(async () => {
  stack = await startStack({ env: { TRITFORGE_MAX_CONCURRENT_UPLOADS: '1', TRITFORGE_UPLOAD_IDLE_SECONDS: '1' } });
});
after(() => stack.close());

const MODEL = classifier(1);

/** Starts an upload and sends the first half of it. */
async function startUpload(): Promise<Socket> {
  const { hostname, port } = new URL(stack.url);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  await once(socket, 'connect');
  socket.write(
    'POST /models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n' +
      `Content-Type: application/octet-stream\r\nContent-Length: ${MODEL.length}\r\n\r\n`,
  );
  socket.write(MODEL.subarray(0, MODEL.length / 2));
  await sleep(100);
  return socket;
}

async function answerOf(socket: Socket): Promise<string> {
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

test('an upload too many is turned away with the time to come back, and others are answered', async () => {
  const before = await stack.footprint();
  const first = await startUpload();
  const refused = await stack.fetch('/models', form([['model', file(MODEL, 'm.onnx')]]));
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  await expectProblem(refused, 'SERVICE_OVERLOADED');
  assert.equal((await stack.fetch('/models')).status, 200);
  first.destroy();
  await eventually(async () => (await stack.footprint()).files.length === before.files.length);
});

test('jobs on what is stored are no uploads: as many as come at once are taken while uploads take all places', async () => {
  const stored = await stack.fetch('/models', form([['model', file(classifier(2), 'stored.onnx')]]));
  const { id: modelId } = await expectJson<Model>(stored, 201);
  const before = await stack.footprint();
  const upload = await startUpload();
  const job = json({ modelId, recipe: { activations: { bits: null } } });
  const answers = await Promise.all(Array.from({ length: 20 }, () => stack.fetch('/jobs', job)));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
  upload.destroy();
  await eventually(async () => (await stack.footprint()).files.length === before.files.length);
});

test('an upload that stands still is given up, with an answer and without a trace', async () => {
  const before = await stack.footprint();
  const answer = await answerOf(await startUpload());
  assert.match(answer, /^HTTP\/1\.1 408 .*"code":"REQUEST_TIMEOUT"/s);
  assert.deepEqual(await stack.footprint(), before);
});

test('a shutdown lets a running upload finish and takes no new connections', async () => {
  const socket = await startUpload();
  const exit = once(stack.api, 'exit');
  stack.api.kill('SIGTERM');
  await sleep(200);
  await assert.rejects(fetch(`${stack.url}/health/live`));
  socket.write(MODEL.subarray(MODEL.length / 2));
  assert.match(await answerOf(socket), /^HTTP\/1\.1 201 /);
  assert.deepEqual(await exit, [0, null]);
});

test('without its database the service is live but not ready, and says so', async () => {
  const broken = await startStack();
  try {
    assert.equal((await broken.fetch('/health/ready')).status, 200);
    await broken.stopDatabase();
    const { detail } = await expectProblem(await broken.fetch('/health/ready'), 'SERVICE_UNAVAILABLE');
    assert.match(detail, /database/);
    assert.equal((await broken.fetch('/health/live')).status, 200);
    const failed = await expectProblem(await broken.fetch('/models'), 'SERVICE_UNAVAILABLE');
    assert.doesNotMatch(failed.detail, /prisma|127\.0\.0\.1/i);
  } finally {
    await broken.close();
  }
});
