/** Uploads straight to the bucket: finished, damaged, given up, and everything at once. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AuditEntry, Dataset, DirectUpload, Model, SignedPart } from '@tritforge/contracts';
import { samples } from './support/datasets.js';
import {
  type DirectFile,
  deleteDirect,
  digestOf,
  finish,
  PART_BYTES,
  type Part,
  partsOf,
  put,
  send,
  sign,
  start,
  threeParts,
  uploadedDirect,
} from './support/direct.js';
import { expectJson, expectProblem, form, json } from './support/http.js';
import { clientOf } from './support/keys.js';
import { classifier, externalWeight, matMul } from './support/models.js';
import { randomBytes } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';
import { head, started } from './support/tus.js';

const LARGEST = 64 * 2 ** 20;

let stack: Stack;
let log = '';
before(async () => {
  stack = await startStack({ storage: 's3', env: { TRITFORGE_MAX_UPLOAD_BYTES: `${LARGEST}` } });
  stack.api.stdout!.on('data', (chunk: Buffer) => {
    log += chunk;
  });
});
after(() => stack.close());

const ours = (path: string, init?: RequestInit) => stack.fetch(path, init);

test('a model whose weights went straight to the bucket is the model that is sent in a form', async () => {
  const file: DirectFile = { content: threeParts(301), fileName: 'w.bin' };
  const upload = await start(ours, file);
  assert.deepEqual(
    [upload.sizeBytes, upload.partBytes, upload.parts, upload.fileName, upload.digest, upload.finishedAt],
    [file.content.length, PART_BYTES, 3, 'w.bin', digestOf(file.content), null],
  );
  const endsMs = Date.parse(upload.expiresAt) - Date.now();
  assert.ok(Math.abs(endsMs - 24 * 3600_000) < 60_000);
  const sent = await send(ours, upload, file.content);
  const finished = await finish(ours, upload.id, sent.toReversed());
  assert.ok(finished.finishedAt !== null);
  assert.deepEqual(finished, { ...upload, finishedAt: finished.finishedAt });
  assert.deepEqual(await expectJson(await ours(`/uploads/direct/${upload.id}`), 200), finished);

  const model = ['model', { content: matMul(externalWeight('w.bin')), fileName: 'm.onnx' }] as const;
  const parts = [model, ['data', `upload:${upload.id}`]] as const;
  const made = await expectJson<Model>(await ours('/models', form(parts)), 201);
  assert.deepEqual(made.files[1], { name: 'w.bin', sizeBytes: file.content.length, digest: digestOf(file.content) });
  const direct = form([model, ['data', { content: file.content, fileName: 'w.bin' }]]);
  assert.deepEqual(await expectJson<Model>(await ours('/models', direct), 200), made);
  assert.deepEqual(await expectJson<Model>(await ours('/models', form(parts)), 200), made);
  assert.equal((await deleteDirect(ours, upload.id)).status, 204);
  await expectProblem(await ours('/models', form(parts)), 'UPLOAD_NOT_FOUND');
});

test('a file smaller than a part, without name and digest, has its digest when it is finished', async () => {
  const content = classifier(302);
  const answer = await ours('/uploads/direct', json({ sizeBytes: content.length }));
  const upload = await expectJson<DirectUpload>(answer, 201);
  assert.deepEqual([upload.parts, upload.fileName, upload.digest], [1, null, null]);
  const finished = await finish(ours, upload.id, await send(ours, upload, content));
  assert.equal(finished.digest, digestOf(content));
  const model = await expectJson<Model>(await ours('/models', form([['model', `upload:${upload.id}`]])), 201);
  assert.equal(model.digest, digestOf(content));
});

test('addresses take one part with its length and digest, expire, and can be had again', async () => {
  const content = threeParts(303);
  const upload = await start(ours, { content });
  const parts = partsOf(upload, content);
  const [third, first] = await sign(ours, upload.id, [parts[2]!, parts[0]!]);
  assert.deepEqual([third!.number, third!.sizeBytes, first!.number, first!.sizeBytes], [3, 4096, 1, PART_BYTES]);
  const { searchParams, pathname } = new URL(first!.url);
  assert.match(pathname, new RegExp(`/uploads/${upload.id}$`));
  assert.equal(searchParams.get('X-Amz-Expires'), '3600');
  assert.equal(searchParams.get('X-Amz-SignedHeaders'), 'content-length;host;x-amz-checksum-sha256');
  const sum = Buffer.from(parts[0]!.digest.slice('sha256:'.length), 'hex').toString('base64');
  assert.deepEqual(first!.headers, { 'x-amz-checksum-sha256': sum });
  const endsMs = Date.parse(first!.expiresAt) - Date.now();
  assert.ok(Math.abs(endsMs - 3600_000) < 60_000);
  const { number, digest } = parts[1]!;
  const answer = await ours(`/uploads/direct/${upload.id}/parts`, json({ parts: [{ number, digest }] }));
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  const { items } = await expectJson<{ items: SignedPart[] }>(answer, 200);
  assert.equal(items[0]!.number, 2);
});

test('parts that are no parts of the upload are refused by their number', async () => {
  const content = threeParts(304);
  const upload = await start(ours, { content });
  const [one, two, three] = await send(ours, upload, content);
  const post = (what: string, parts: unknown) => ours(`/uploads/direct/${upload.id}/${what}`, json({ parts }));
  for (const what of ['parts', 'finish']) {
    const etag = what === 'finish' ? { etag: '"x"' } : {};
    const digest = digestOf(content);
    const ones = [1, 1].map((number) => ({ number, digest, ...etag }));
    const twice = await expectProblem(await post(what, ones), 'UPLOAD_PARTS_INVALID');
    assert.deepEqual([twice.field, twice.detail], ['parts.1.number', 'Part 1 comes twice']);
    await expectProblem(await post(what, [{ number: 4, digest, ...etag }]), 'UPLOAD_PARTS_INVALID');
    const part = { number: 1, digest, ...etag };
    for (const wrong of [[], [{ ...part, number: 0 }], [{ ...part, digest: 'sha256:x' }], [{ number: 1 }], 'x'])
      await expectProblem(await post(what, wrong), 'BODY_INVALID');
  }
  const { detail } = await expectProblem(await post('finish', [three, one]), 'UPLOAD_PARTS_INVALID');
  assert.equal(detail, 'Part 2 of 3 is missing');
  await expectProblem(await post('finish', [one]), 'UPLOAD_PARTS_INVALID');
  await expectProblem(await post('finish', [one, two, { ...three, etag: '"00"' }]), 'UPLOAD_UNFINISHED');
  assert.ok((await finish(ours, upload.id, [one!, two!, three!])).finishedAt);
  await expectProblem(await post('parts', [{ number: 1, digest: one!.digest }]), 'UPLOAD_PARTS_INVALID');
});

test('a part that has not arrived can still be sent, and one that is sent again replaces the one before', async () => {
  const content = threeParts(305);
  const upload = await start(ours, { content });
  const [first, second, third] = partsOf(upload, content);
  const tags = new Map<number, string>();
  const sendOne = async (part: Part) => tags.set(part.number, await put(await sign(ours, upload.id, [part]), part));
  for (const part of [first!, third!, first!]) await sendOne(part);
  const listed = (etag: string) =>
    [first!, second!, third!].map(({ number, digest }) => ({ number, digest, etag: tags.get(number) ?? etag }));
  const early = await ours(`/uploads/direct/${upload.id}/finish`, json({ parts: listed('"unknown"') }));
  const { retryable } = await expectProblem(early, 'UPLOAD_UNFINISHED');
  assert.equal(retryable, true);
  await expectProblem(await ours('/models', form([['model', `upload:${upload.id}`]])), 'UPLOAD_UNFINISHED');
  await sendOne(second!);
  assert.equal((await finish(ours, upload.id, listed(''))).digest, digestOf(content));
});

test('what arrives and is not what was announced is deleted, whatever the bucket has checked', async () => {
  const before = await stack.footprint();
  const content = threeParts(306);
  const other = Buffer.from(content);
  other[PART_BYTES + 5]! ^= 1;
  const attempt = async (file: DirectFile, sent: Buffer, listed = sent) => {
    const upload = await start(ours, file);
    const parts = await send(ours, upload, sent, listed);
    const answer = await ours(`/uploads/direct/${upload.id}/finish`, json({ parts }));
    return { upload, answer };
  };
  const whole = await attempt({ content }, other);
  const { detail } = await expectProblem(whole.answer, 'DIGEST_MISMATCH');
  assert.match(detail, /^The file arrived with digest sha256:/);
  assert.equal((await ours(`/uploads/direct/${whole.upload.id}`)).status, 404);
  const part = await attempt({ content }, other, content);
  assert.match((await expectProblem(part.answer, 'DIGEST_MISMATCH')).detail, /^Part 2 of the upload arrived/);
  // Parts in each other's place.
  const [one, two, three] = [0, 1, 2].map((i) => content.subarray(i * PART_BYTES, (i + 1) * PART_BYTES));
  const turned = Buffer.concat([two!, one!, three!]);
  await expectProblem((await attempt({ content }, turned)).answer, 'DIGEST_MISMATCH');
  const short = await attempt({ content }, content.subarray(0, -1), content);
  await expectProblem(short.answer, 'UPLOAD_INCOMPLETE');
  const long = await attempt({ content }, Buffer.concat([content, Buffer.from('!')]), content);
  await expectProblem(long.answer, 'UPLOAD_TOO_LARGE');
  assert.deepEqual(await stack.footprint(), before);
});

test('what cannot become an upload is refused when it is created, and leaves nothing', async () => {
  const before = await stack.footprint();
  const post = (body: unknown) => ours('/uploads/direct', json(body));
  const { field } = await expectProblem(await post({ sizeBytes: LARGEST + 1 }), 'UPLOAD_TOO_LARGE');
  assert.equal(field, 'sizeBytes');
  for (const sizeBytes of [undefined, 0, 1.5, '9']) await expectProblem(await post({ sizeBytes }), 'BODY_INVALID');
  await expectProblem(await post({ sizeBytes: 9, digest: 'sha256:AB' }), 'BODY_INVALID');
  await expectProblem(await post({ sizeBytes: 9, fileName: '' }), 'BODY_INVALID');
  await expectProblem(await post({ sizeBytes: 9, parts: 3 }), 'BODY_INVALID');
  await expectProblem(await post('{'), 'BODY_NOT_JSON');
  assert.deepEqual(await stack.footprint(), before);
});

test('an upload is not there for another project, nor for tus, and needs a key that may write', async () => {
  const mine = await clientOf(stack, 'mine', ['models:write']);
  const reader = await clientOf(stack, 'mine', ['models:read', 'datasets:read', 'jobs:read']);
  const theirs = await clientOf(stack, 'theirs');
  const content = classifier(310);
  const upload = await start(mine.fetch, { content });
  const path = `/uploads/direct/${upload.id}`;
  const part = partsOf(upload, content)[0]!;
  const body = json({ parts: [{ number: 1, digest: part.digest }] });
  const ended = json({ parts: [{ number: 1, digest: part.digest, etag: 'x' }] });
  const requests = [
    ['', undefined],
    ['', { method: 'DELETE' }],
    ['/parts', body],
    ['/finish', ended],
  ] as const;
  for (const [what, init] of requests) {
    await expectProblem(await reader.fetch(`${path}${what}`, init), 'SCOPE_MISSING');
    for (const foreign of [theirs.fetch, ours])
      await expectProblem(await foreign(`${path}${what}`, init), 'UPLOAD_NOT_FOUND');
    await expectProblem(await mine.fetch(`/uploads/direct/upl_x${what}`, init), 'UPLOAD_NOT_FOUND');
  }
  await expectProblem(await reader.fetch('/uploads/direct', json({ sizeBytes: 9 })), 'SCOPE_MISSING');
  assert.equal((await head(mine.fetch, `/uploads/${upload.id}`)).status, 404);
  const tus = await started(mine.fetch, 10);
  await expectProblem(await mine.fetch(`/uploads/direct/${tus.split('/').at(-1)}`), 'UPLOAD_NOT_FOUND');
  await finish(mine.fetch, upload.id, await send(mine.fetch, upload, content));
  await expectProblem(await theirs.fetch('/models', form([['model', `upload:${upload.id}`]])), 'UPLOAD_NOT_FOUND');
  assert.equal((await mine.fetch('/models', form([['model', `upload:${upload.id}`]]))).status, 201);
  const admin = await clientOf(stack, 'mine');
  const { items } = await expectJson<{ items: AuditEntry[] }>(await admin.fetch('/audit'), 200);
  const noted = new Set(items.map(({ action, status }) => `${action} ${status}`));
  for (const done of ['createDirectUpload 201', 'signUploadParts 200', 'finishDirectUpload 200'])
    assert.ok(noted.has(done), done);
});

test('without a bucket that clients reach the answer says to use tus', async () => {
  const closed = { storage: 's3', env: { TRITFORGE_S3_PUBLIC_ENDPOINT: 'none' } } as const;
  for (const options of [{ storage: 'folder' } as const, closed]) {
    const of = await startStack(options);
    try {
      const refused = await of.fetch('/uploads/direct', json({ sizeBytes: 9 }));
      const { status, remediation } = await expectProblem(refused, 'UPLOAD_DIRECT_UNAVAILABLE');
      assert.equal(status, 404);
      assert.match(remediation ?? '', /tus/);
      await expectProblem(await of.fetch(`/uploads/direct/upl_${'0'.repeat(26)}`), 'UPLOAD_DIRECT_UNAVAILABLE');
    } finally {
      await of.close();
    }
  }
});

test('addresses name the bucket as clients reach it, and a bucket that is away is named', async () => {
  const of = await startStack({ storage: 's3', env: { TRITFORGE_S3_PUBLIC_ENDPOINT: 'https://files.example.com/' } });
  try {
    const there = (at: string, init?: RequestInit) => of.fetch(at, init);
    const content = randomBytes(313, 100);
    const upload = await start(there, { content });
    const [part] = await sign(there, upload.id, partsOf(upload, content));
    assert.match(part!.url, /^https:\/\/files\.example\.com\/tritforge-test\/uploads\/upl_/);
    const before = await of.footprint();
    await of.stopS3();
    await expectProblem(await there('/uploads/direct', json({ sizeBytes: 9 })), 'SERVICE_UNAVAILABLE');
    assert.deepEqual(await of.footprint(), before);
  } finally {
    await of.close();
  }
});

test('a dataset is made of an upload', async () => {
  const content = samples(4, 314);
  const id = await uploadedDirect(ours, { content, fileName: 'd.npz' });
  const parts = [
    ['preprocess', '{"scale":0.5}'],
    ['data', `upload:${id}`],
  ] as const;
  const dataset = await expectJson<Dataset>(await ours('/datasets', form(parts)), 201);
  assert.deepEqual([dataset.fileName, dataset.digest], ['d.npz', digestOf(content)]);
});

test('logs know of requests for addresses, and no address', () => {
  assert.match(log, /\/uploads\/direct\/upl_\w+\/parts/);
  assert.doesNotMatch(log, /X-Amz/i);
});
