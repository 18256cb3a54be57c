/** Uploads straight to the bucket: asked for twice, at once, by processes that die, and past their time. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DirectUpload } from '@tritforge/contracts';
import { openStore } from '@tritforge/store';
import { Client as Database } from 'pg';
import {
  deleteDirect,
  digestOf,
  finish,
  PART_BYTES,
  send,
  start,
  threeParts,
  uploadedDirect,
} from './support/direct.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, json } from './support/http.js';
import { classifier } from './support/models.js';
import { randomBytes } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';
import { started } from './support/tus.js';

let stack: Stack;
before(async () => {
  stack = await startStack({ storage: 's3' });
});
after(() => stack.close());

const ours = (path: string, init?: RequestInit) => stack.fetch(path, init);

test('a creation is done once with an idempotency key, and so is a finish', async () => {
  const content = classifier(307);
  const keyed = (path: string, body: unknown, key: string) => {
    const { headers, ...init } = json(body);
    return ours(path, { ...init, headers: { ...(headers as Record<string, string>), 'idempotency-key': key } });
  };
  const body = { sizeBytes: content.length, fileName: 'm.onnx' };
  const create = () => keyed('/uploads/direct', body, 'direct-1');
  const answers = await Promise.all([create(), create(), create()]);
  const uploads = await Promise.all(answers.map((answer) => expectJson<DirectUpload>(answer, 201)));
  assert.equal(new Set(uploads.map(({ id }) => id)).size, 1);
  assert.equal(answers[0]!.headers.get('location'), `/uploads/direct/${uploads[0]!.id}`);
  await expectProblem(await keyed('/uploads/direct', { ...body, sizeBytes: 5 }, 'direct-1'), 'IDEMPOTENCY_KEY_REUSED');

  const parts = await send(ours, uploads[0]!, content);
  const path = `/uploads/direct/${uploads[0]!.id}/finish`;
  const first = await expectJson(await keyed(path, { parts }, 'direct-2'), 200);
  const again = await keyed(path, { parts }, 'direct-2');
  assert.equal(again.headers.get('idempotency-replayed'), 'true');
  assert.deepEqual(await expectJson(again, 200), first);
});

test('a finish that is sent many times at once, also to another process, finishes once', async () => {
  const other = await stack.startApi();
  const content = threeParts(308);
  const upload = await start(ours, { content });
  const body = json({ parts: await send(ours, upload, content) });
  const path = `/uploads/direct/${upload.id}/finish`;
  const there = () => fetch(`${other.url}${path}`, body);
  const answers = await Promise.all([ours(path, body), there(), ours(path, body), there()]);
  const finished = await Promise.all(answers.map((answer) => expectJson<DirectUpload>(answer, 200)));
  assert.equal(new Set(finished.map((one) => JSON.stringify(one))).size, 1);
  assert.deepEqual(await expectJson(await ours(path, body), 200), finished[0]);
  other.process.kill();
});

test('a finish and a delete at once leave a finished upload or none, and nothing else', async () => {
  const before = await stack.footprint();
  for (let round = 0; round < 6; round++) {
    const content = randomBytes(round, PART_BYTES + 100);
    const upload = await start(ours, { content });
    const parts = await send(ours, upload, content);
    const [ended, deleted] = await Promise.all([
      ours(`/uploads/direct/${upload.id}/finish`, json({ parts })),
      sleep(round * 15).then(() => deleteDirect(ours, upload.id)),
    ]);
    assert.ok([200, 404].includes(ended.status), await ended.text());
    assert.equal(deleted.status, 204);
    await expectProblem(await deleteDirect(ours, upload.id), 'UPLOAD_NOT_FOUND');
  }
  assert.deepEqual(await stack.footprint(), before);
});

test('a process that is killed while it finishes leaves an upload that another one finishes', async () => {
  const content = threeParts(309);
  const upload = await start(ours, { content });
  const parts = await send(ours, upload, content);
  const { s3, ...config } = stack.storeConfig;
  assert.ok(s3);
  // As far as it comes before its row says so: the bucket has joined the parts, and the lock is held.
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  const store = await openStore({ ...config, s3 });
  try {
    await store.directUploads!.finish(upload.id, parts);
    const lock = 'UPDATE uploads SET token = $1, lease_until = clock_timestamp() + $2::interval WHERE id = $3';
    await db.query('UPDATE uploads SET finished_at = NULL WHERE id = $1', [upload.id]);
    await db.query(lock, ['gone', '1 second', upload.id]);
    const finished = await finish(ours, upload.id, parts);
    assert.equal(finished.digest, digestOf(content));
    await db.query(lock, ['other', '1 minute', upload.id]);
    const { status, retryable } = await expectProblem(await deleteDirect(ours, upload.id), 'UPLOAD_LOCKED');
    assert.deepEqual([status, retryable], [423, true]);
  } finally {
    await store.close();
    await db.end();
  }
});

test('uploads of both ways count together, and expired ones go away with their parts and objects', async () => {
  const of = await startStack({
    storage: 's3',
    env: {
      TRITFORGE_MAX_PROJECT_UPLOADS: '3',
      TRITFORGE_MAX_PROJECT_UPLOAD_BYTES: '1000',
      TRITFORGE_UPLOAD_LIFETIME_SECONDS: '15',
    },
    workers: 1,
  });
  try {
    const there = (at: string, init?: RequestInit) => of.fetch(at, init);
    const before = await of.footprint();
    const content = randomBytes(311, 500);
    const finished = await start(there, { content });
    await finish(there, finished.id, await send(there, finished, content));
    const unfinished = await start(there, { content: content.subarray(0, 300) });
    await send(there, unfinished, content.subarray(0, 300));
    await started(there, 100);
    await expectProblem(await there('/uploads/direct', json({ sizeBytes: 1 })), 'QUOTA_EXCEEDED');
    await eventually(async () => (await of.footprint()).rows.uploads === 0, 40_000);
    await expectProblem(await there(`/uploads/direct/${finished.id}`), 'UPLOAD_NOT_FOUND');
    assert.deepEqual(await of.footprint(), before);
    await expectProblem(await there('/uploads/direct', json({ sizeBytes: 1001 })), 'QUOTA_EXCEEDED');
    assert.deepEqual(await of.footprint(), before);
  } finally {
    await of.close();
  }
});

test('what a crash left in the bucket without a row is swept, and nothing else', async () => {
  const content = randomBytes(312, 700);
  const kept = await uploadedDirect(ours, { content });
  const waiting = await start(ours, { content });
  const { s3, ...config } = stack.storeConfig;
  assert.ok(s3);
  const store = await openStore({ ...config, s3: { ...s3, timing: { settleMs: 0 } } });
  const db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
  try {
    await store.sweepBucketUploads();
    const before = await stack.footprint();
    const lost = [await uploadedDirect(ours, { content }), (await start(ours, { content })).id];
    assert.notDeepEqual((await stack.footprint()).files, before.files);
    await db.query('DELETE FROM uploads WHERE id = ANY($1)', [lost]);
    const careful = await openStore({ ...config, s3 });
    assert.equal(await careful.sweepBucketUploads(), 0);
    await careful.close();
    assert.equal(await store.sweepBucketUploads(), 2);
    assert.deepEqual(await stack.footprint(), before);
    assert.equal((await ours(`/uploads/direct/${kept}`)).status, 200);
    await finish(ours, waiting.id, await send(ours, waiting, content));
  } finally {
    await db.end();
    await store.close();
  }
});
