/** Uploads that arrived in pieces: used in place of files, by those who may, within limits of space and time. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Dataset, Job, Model } from '@tritforge/contracts';
import { labelledSamples, samples } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, file, form } from './support/http.js';
import { clientOf } from './support/keys.js';
import { classifier, externalWeight, matMul } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { append, create, head, started, terminate, uploaded } from './support/tus.js';

let stack: Stack;
before(async () => {
  stack = await startStack();
});
after(() => stack.close());

const ours = (path: string, init?: RequestInit) => stack.fetch(path, init);
const fileOf = (of: Stack, path: string) => join(of.dataDir, 'blobs', path);
const noise = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * 7919) % 251));

test('a job takes its model, external data and datasets from uploads, beside files', async () => {
  const job = await expectJson<Job>(
    await ours(
      '/jobs',
      form([
        ['evaluation', await uploaded(ours, labelledSamples(4, 204), 'evaluation.npz')],
        ['model', await uploaded(ours, classifier(204), 'net.onnx')],
        ['calibration', file(samples(4, 205), 'calibration.npz')],
        ['job', '{"recipe":{"weights":{"groupSize":8}},"metric":"top1"}'],
      ]),
    ),
    202,
  );
  const model = await expectJson<Model>(await ours(`/models/${job.modelId}`), 200);
  assert.equal(model.fileName, 'net.onnx');
  const evaluation = await expectJson<Dataset>(await ours(`/datasets/${job.datasets.evaluation}`), 200);
  assert.equal(evaluation.fileName, 'evaluation.npz');
  await ours(`/jobs/${job.id}/cancel`, { method: 'POST' });

  const weights = Buffer.from(Float32Array.from({ length: 16 }, (_, i) => i / 8).buffer);
  const parts = [
    ['data', await uploaded(ours, weights, 'weights/layer 1.bin')],
    ['model', await uploaded(ours, matMul(externalWeight('weights/layer 1.bin')), 'm.onnx')],
  ] as const;
  const { files } = await expectJson<Model>(await ours('/models', form(parts)), 201);
  assert.deepEqual(
    files.map(({ name }) => name),
    ['m.onnx', 'weights/layer 1.bin'],
  );
});

test('an upload that is unfinished, unknown or deleted is not used, and its use leaves nothing', async () => {
  const bytes = classifier(206);
  const path = await started(ours, bytes.length);
  await append(ours, path, 0, bytes.subarray(0, 100));
  const id = path.split('/').at(-1)!;
  const before = await stack.footprint();
  const use = (reference: string) => ours('/models', form([['model', reference]]));
  const { detail } = await expectProblem(await use(`upload:${id}`), 'UPLOAD_UNFINISHED');
  assert.match(detail, new RegExp(`100 of ${bytes.length} bytes`));
  for (const other of [
    `upl_${'0'.repeat(26)}`,
    'upl_x',
    `../${id}`,
    `../../sha256`,
    '%2e%2e',
    'mdl_x',
    id.slice(0, -1),
  ])
    await expectProblem(await use(`upload:${other}`), 'UPLOAD_NOT_FOUND');
  // What has a file name is a file.
  const asFile = await ours('/models', form([['model', file(Buffer.from(`upload:${id}`), 'm.onnx')]]));
  await expectProblem(asFile, 'MODEL_NOT_ONNX');
  assert.deepEqual(await stack.footprint(), before);

  assert.equal((await terminate(ours, path)).status, 204);
  await expectProblem(await use(`upload:${id}`), 'UPLOAD_NOT_FOUND');
  await expectProblem(await terminate(ours, path), 'UPLOAD_NOT_FOUND');
  await expectProblem(await append(ours, path, 100, noise(1)), 'UPLOAD_NOT_FOUND');
  assert.equal((await head(ours, path)).status, 404);
  await assert.rejects(stat(fileOf(stack, path)), { code: 'ENOENT' });
});

test('neither ids nor names lead out of the folder', async () => {
  const before = await stack.footprint();
  for (const id of ['..%2f..%2fsha256', '..%2Fstaging', '%2e%2e%2f', 'upl_%00', `upl_${'0'.repeat(25)}%2f`, '..%5c..'])
    for (const method of ['PATCH', 'DELETE']) {
      const headers = {
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
      };
      const answer = await fetch(`${stack.url}/uploads/${id}`, {
        method,
        headers,
        ...(method === 'PATCH' && { body: 'x' }),
      });
      assert.ok([400, 404].includes(answer.status), `${method} ${id}: ${answer.status}`);
    }
  assert.deepEqual(await stack.footprint(), before);

  const model = await uploaded(ours, classifier(207), '../../../etc/passwd');
  const kept = await expectJson<Model>(await ours('/models', form([['model', model]])), 201);
  assert.equal(kept.fileName, 'passwd');
  const odd = await uploaded(ours, classifier(210), `${'x'.repeat(300)}\0:é.onnx`);
  const { fileName } = await expectJson<Model>(await ours('/models', form([['model', odd]])), 201);
  assert.match(fileName, /^x+__é\.onnx$/);
  const data = await uploaded(ours, noise(64), '../escaped.bin');
  const escaping = form([
    ['model', model],
    ['data', data],
  ]);
  await expectProblem(await ours('/models', escaping), 'MODEL_EXTERNAL_DATA_ESCAPES');
});

test('an upload is not there for another project, and needs a key that may write', async () => {
  const mine = await clientOf(stack, 'mine', ['models:write']);
  const jobs = await clientOf(stack, 'mine', ['jobs:write']);
  const reader = await clientOf(stack, 'mine', ['models:read', 'datasets:read', 'jobs:read']);
  const theirs = await clientOf(stack, 'theirs');
  const bytes = classifier(208);
  const path = await started(mine.fetch, bytes.length);
  assert.equal((await append(jobs.fetch, path, 0, bytes)).status, 204);
  const reference = `upload:${path.split('/').at(-1)}`;

  await expectProblem(await create(reader.fetch, 10), 'SCOPE_MISSING');
  assert.equal((await head(reader.fetch, path)).status, 403);
  for (const foreign of [theirs.fetch, ours]) {
    assert.equal((await head(foreign, path)).status, 404);
    await expectProblem(await append(foreign, path, 0, noise(1)), 'UPLOAD_NOT_FOUND');
    await expectProblem(await terminate(foreign, path), 'UPLOAD_NOT_FOUND');
    await expectProblem(await foreign('/models', form([['model', reference]])), 'UPLOAD_NOT_FOUND');
  }
  const wrong = await create(
    (at, init) => ours(at, { ...init, headers: { ...init?.headers, authorization: 'Bearer x' } }),
    9,
  );
  assert.ok(wrong.headers.has('www-authenticate'));
  assert.equal(wrong.headers.get('tus-resumable'), '1.0.0');
  await expectProblem(wrong, 'UNAUTHENTICATED');
  assert.equal((await mine.fetch('/models', form([['model', reference]]))).status, 201);
});

test('a project has so many uploads and bytes at a time, and expired ones go away', async () => {
  const of = await startStack({
    env: {
      TRITFORGE_MAX_PROJECT_UPLOADS: '2',
      TRITFORGE_MAX_PROJECT_UPLOAD_BYTES: '1000',
      TRITFORGE_UPLOAD_LIFETIME_SECONDS: '3',
      TRITFORGE_ANONYMOUS: 'always',
    },
    workers: 1,
  });
  try {
    const there = (at: string, init?: RequestInit) => of.fetch(at, init);
    const before = await of.footprint();
    const path = await started(there, 600);
    assert.equal((await append(there, path, 0, noise(600))).status, 204);
    await expectProblem(await create(there, 401), 'QUOTA_EXCEEDED');
    await started(there, 400);
    await expectProblem(await create(there, 1), 'QUOTA_EXCEEDED');
    await stat(fileOf(of, path));
    await eventually(async () => (await of.footprint()).rows.uploads === 0, 15_000);
    assert.equal((await head(there, path)).status, 404);
    assert.deepEqual(await of.footprint(), before);
    await started(there, 1000);
  } finally {
    await of.close();
  }
});
