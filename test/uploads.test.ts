/** Resumable uploads over HTTP: interrupted, killed, refused, and by a client of another hand. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Dataset, Model } from '@tritforge/contracts';
import { Client as Database } from 'pg';
import { Upload as TusUpload } from 'tus-js-client';
import { samples } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form } from './support/http.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { append, appendPart, create, head, metadata, offsetOf, started } from './support/tus.js';

const LARGEST = 64 * 2 ** 20;

let stack: Stack;
before(async () => {
  stack = await startStack({ env: { TRITFORGE_MAX_UPLOAD_BYTES: `${LARGEST}` } });
});
after(() => stack.close());

const ours = (path: string, init?: RequestInit) => stack.fetch(path, init);
const fileOf = (of: Stack, path: string) => join(of.dataDir, 'blobs', path);
const noise = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * 7919) % 251));

test('the service says what of tus it has, also to those without a key', async () => {
  const answer = await ours('/uploads', { method: 'OPTIONS' });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers.get('tus-version'), '1.0.0');
  assert.equal(answer.headers.get('tus-extension'), 'creation,creation-with-upload,termination,expiration');
  assert.equal(answer.headers.get('tus-max-size'), `${LARGEST}`);
});

test('a model that was uploaded in pieces, with interruptions, is the model that is uploaded at once', async () => {
  const bytes = classifier(201);
  const answer = await create(ours, bytes.length, { 'upload-metadata': metadata({ filename: 'net.onnx' }) });
  assert.equal(answer.status, 201);
  const path = answer.headers.get('location')!;
  assert.match(path, /^\/uploads\/upl_[0-9a-z]{26}$/);
  const endsMs = Date.parse(answer.headers.get('upload-expires')!);
  assert.ok(Math.abs(endsMs - Date.now() - 24 * 3600_000) < 60_000);

  const first = await append(ours, path, 0, bytes.subarray(0, 1000));
  assert.equal(first.status, 204);
  assert.equal(first.headers.get('upload-offset'), '1000');

  const socket = appendPart(stack.url, path, 1000, bytes.length - 1000, bytes.subarray(1000, 3000));
  await eventually(async () => (await stat(fileOf(stack, path))).size === 3000);
  socket.destroy();
  const known = await head(ours, path);
  assert.equal(known.headers.get('upload-offset'), '3000');
  assert.equal(known.headers.get('upload-length'), `${bytes.length}`);
  assert.equal(known.headers.get('upload-metadata'), metadata({ filename: 'net.onnx' }));
  assert.equal(known.headers.get('cache-control'), 'no-store');
  assert.equal((await append(ours, path, 3000, bytes.subarray(3000))).status, 204);

  const reference = `upload:${path.split('/').at(-1)}`;
  const model = await expectJson<Model>(await ours('/models', form([['model', reference]])), 201);
  assert.equal(model.fileName, 'net.onnx');
  assert.equal(model.digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  const direct = await ours('/models', form([['model', file(bytes, 'net.onnx')]]));
  assert.deepEqual(await expectJson<Model>(direct, 200), model);
  assert.deepEqual(await expectJson<Model>(await ours('/models', form([['model', reference]])), 200), model);
});

test('a client that comes back while its old connection hangs takes the upload over', async () => {
  const bytes = noise(50_000);
  const path = await started(ours, bytes.length);
  const hanging = appendPart(stack.url, path, 0, bytes.length, bytes.subarray(0, 20_000));
  await eventually(async () => (await stat(fileOf(stack, path))).size === 20_000);
  assert.equal(await offsetOf(ours, path), 20_000);
  assert.equal((await append(ours, path, 20_000, bytes.subarray(20_000))).status, 204);
  hanging.destroy();
});

test('an API process that is killed leaves an upload that another one goes on with', async () => {
  const of = await startStack();
  try {
    const bytes = classifier(202);
    const path = await started((at, init) => of.fetch(at, init), bytes.length, 'killed.onnx');
    appendPart(of.url, path, 0, bytes.length, bytes.subarray(0, 40_000));
    await eventually(async () => (await stat(fileOf(of, path))).size === 40_000);
    const ended = once(of.api, 'exit');
    of.api.kill('SIGKILL');
    await ended;

    const other = await of.startApi();
    const there = (at: string, init?: RequestInit) => fetch(`${other.url}${at}`, init);
    const offset = await offsetOf(there, path);
    assert.equal(offset, 40_000);
    assert.equal((await append(there, path, offset, bytes.subarray(offset))).status, 204);
    const reference = `upload:${path.split('/').at(-1)}`;
    const model = await expectJson<Model>(await there('/models', form([['model', reference]])), 201);
    assert.equal(model.digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  } finally {
    await of.close();
  }
});

test('a lock that nobody gives back makes others give up, and one whose lease ran out is taken over', async () => {
  const path = await started(ours, 100);
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  try {
    const lock = 'UPDATE uploads SET token = $1, lease_until = clock_timestamp() + $2::interval WHERE id = $3';
    await db.query(lock, ['other', '1 minute', path.split('/').at(-1)]);
    const { status, retryable } = await expectProblem(await append(ours, path, 0, noise(10)), 'UPLOAD_LOCKED');
    assert.deepEqual([status, retryable], [423, true]);
    await db.query(lock, ['other', '1 second', path.split('/').at(-1)]);
    assert.equal((await append(ours, path, 0, noise(10))).status, 204);
  } finally {
    await db.end();
  }
});

test('two processes do not write to one upload at once', async () => {
  const other = await stack.startApi();
  const there = (at: string, init?: RequestInit) => fetch(`${other.url}${at}`, init);
  const bytes = noise(30_000);
  const path = await started(ours, bytes.length);
  const hanging = appendPart(stack.url, path, 0, bytes.length, bytes.subarray(0, 10_000));
  await eventually(async () => (await stat(fileOf(stack, path))).size === 10_000);
  assert.equal(await offsetOf(there, path), 10_000);
  // The other process has let go of it.
  hanging.write(bytes.subarray(10_000));
  assert.equal((await append(there, path, 10_000, bytes.subarray(10_000))).status, 204);
  assert.equal(await offsetOf(ours, path), bytes.length);
  hanging.destroy();
  other.process.kill();
});

test('bytes for another offset are refused, and what has arrived stays', async () => {
  const path = await started(ours, 100);
  assert.equal((await append(ours, path, 0, noise(40))).status, 204);
  for (const offset of [0, 39, 41, 100]) {
    const { status } = await expectProblem(await append(ours, path, offset, noise(10)), 'UPLOAD_OFFSET_MISMATCH');
    assert.equal(status, 409);
  }
  await expectProblem(await append(ours, path, 40, noise(61)), 'UPLOAD_TOO_LARGE');
  assert.equal(await offsetOf(ours, path), 40);
});

test('a piece that differs from its announced digest is not kept', async () => {
  const path = await started(ours, 100);
  const digestOf = (content: Buffer) => `sha-256=:${createHash('sha256').update(content).digest('base64')}:`;
  assert.equal((await append(ours, path, 0, noise(40), { 'content-digest': digestOf(noise(40)) })).status, 204);
  const wrong = await append(ours, path, 40, noise(50), { 'content-digest': digestOf(noise(51)) });
  await expectProblem(wrong, 'DIGEST_MISMATCH');
  assert.equal(await offsetOf(ours, path), 40);
});

test('a disk that is full refuses bytes, keeps those that it has, and takes the others later', {
  skip: spawnSync('prlimit', ['--version']).status !== 0 && 'there is no prlimit here',
}, async () => {
  const limitFiles = (bytes: string) => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', `${stack.api.pid}`, `--fsize=${bytes}:`]);
    assert.equal(status, 0, `${stderr}`);
  };
  const bytes = noise(300_000);
  const path = await started(ours, bytes.length);
  limitFiles('100000');
  await expectProblem(await append(ours, path, 0, bytes), 'STORAGE_FULL');
  limitFiles('unlimited');
  assert.equal(await offsetOf(ours, path), 100_000);
  assert.equal((await append(ours, path, 100_000, bytes.subarray(100_000))).status, 204);
});

test('what cannot become an upload is refused when it is created, and leaves nothing', async () => {
  const before = await stack.footprint();
  await expectProblem(await create(ours, LARGEST + 1), 'UPLOAD_TOO_LARGE');
  await expectProblem(await create(ours, 0), 'UPLOAD_EMPTY');
  for (const length of ['-1', '1.5', 'x', '1e3', '99999999999999999999']) {
    const answer = await create(ours, 0, { 'upload-length': length });
    assert.ok([400, 413].includes(answer.status), `${length}: ${answer.status}`);
  }
  const version = { 'tus-resumable': '1.0.0' };
  const post = (headers: Record<string, string>) => ours('/uploads', { method: 'POST', headers });
  await expectProblem(await post(version), 'HEADER_INVALID');
  await expectProblem(await post({ ...version, 'upload-defer-length': '1' }), 'HEADER_INVALID');
  await expectProblem(await post({ ...version, 'upload-concat': 'partial', 'upload-length': '5' }), 'HEADER_INVALID');
  for (const text of ['filename !', 'a b c', 'a YQ==,a YQ=='])
    await expectProblem(await create(ours, 5, { 'upload-metadata': text }), 'HEADER_INVALID');
  for (const headers of [{ 'upload-length': '5' }, { 'upload-length': '5', 'tus-resumable': '0.2.2' }]) {
    const answer = await post(headers);
    assert.equal(answer.headers.get('tus-version'), '1.0.0');
    await expectProblem(answer, 'UPLOAD_PROTOCOL_UNSUPPORTED');
  }
  const body = { headers: { ...version, 'upload-length': '5', 'content-type': 'application/offset+octet-stream' } };
  await expectProblem(await ours('/uploads', { method: 'POST', ...body, body: '123456' }), 'UPLOAD_TOO_LARGE');
  await expectProblem(
    await ours('/uploads', { method: 'POST', headers: { ...version, 'content-type': 'text/plain' }, body: '1' }),
    'CONTENT_TYPE_UNSUPPORTED',
  );
  assert.deepEqual(await stack.footprint(), before);
});

test('a whole file can come with the creation, and is done once with an idempotency key', async () => {
  const bytes = samples(4, 203);
  const headers = { 'content-type': 'application/offset+octet-stream', 'idempotency-key': 'one-upload' };
  const send = () =>
    ours('/uploads', {
      method: 'POST',
      headers: { 'tus-resumable': '1.0.0', 'upload-length': `${bytes.length}`, ...headers },
      body: bytes,
    });
  const answer = await send();
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get('upload-offset'), `${bytes.length}`);
  const location = answer.headers.get('location')!;
  const again = await send();
  assert.equal(again.headers.get('idempotency-replayed'), 'true');
  assert.equal(again.headers.get('location'), location);
  const reference = `upload:${location.split('/').at(-1)}`;
  const parts = [
    ['preprocess', '{"scale":0.5}'],
    ['data', reference],
  ] as const;
  const dataset = await expectJson<Dataset>(await ours('/datasets', form(parts)), 201);
  assert.equal(dataset.fileName, 'dataset');
  const direct = form([['data', file(bytes, 'd.npz')], parts[0]]);
  assert.deepEqual(await expectJson<Dataset>(await ours('/datasets', direct), 200), dataset);
});

test('a stock tus client uploads in chunks, and resumes what another one began', async () => {
  const bytes = classifier(209);
  const endpoint = `${stack.url}/uploads`;
  const send = (options: ConstructorParameters<typeof TusUpload>[1], isEnough: (sent: number) => boolean) =>
    new Promise<string>((resolve, reject) => {
      const upload = new TusUpload(bytes, {
        endpoint,
        chunkSize: 30_000,
        metadata: { filename: 'stock.onnx' },
        ...options,
        onError: reject,
        onSuccess: () => resolve(upload.url!),
        onChunkComplete: (_size, sent) => {
          if (isEnough(sent)) void upload.abort().then(() => resolve(upload.url!));
        },
      });
      upload.start();
    });
  const url = await send({ uploadDataDuringCreation: true }, (sent) => sent >= 60_000);
  const path = new URL(url).pathname;
  const offset = await offsetOf(ours, path);
  assert.ok(offset >= 60_000 && offset < bytes.length);
  assert.equal(await send({ uploadUrl: url }, () => false), url);
  const reference = `upload:${path.split('/').at(-1)}`;
  const model = await expectJson<Model>(await ours('/models', form([['model', reference]])), 201);
  assert.equal(model.fileName, 'stock.onnx');
  assert.equal(model.digest, `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
});
