/** The TypeScript client on a real service, over a line that breaks. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, ProblemError, TritforgeClient, TritforgeError, type UploadProgress } from '@tritforge/client';
import { exampleImages } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { EXAMPLE } from './support/example.js';
import { clientOf } from './support/keys.js';
import { externalWeight, matMul } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { freePort } from './support/started-service.js';
import { Wire } from './support/wire.js';

const folder = mkdtempSync(join(tmpdir(), 'tritforge-client-'));
let folders = 0;
const newFolder = () => join(folder, `out${folders++}`);
const MODEL = { path: join(EXAMPLE, 'model.onnx') };
const IMAGES = join(folder, 'images.npz');
const preprocess = JSON.parse(readFileSync(join(EXAMPLE, 'preprocess.json'), 'utf8'));
const WEIGHTS_ONLY = { activations: { bits: null } };
/** A job that goes on until it is canceled. */
const ENDLESS = {
  model: MODEL,
  datasets: { calibration: { path: IMAGES, preprocess } },
  recipe: { fineTune: { minutes: 60 } },
};

let stack: Stack;
let wire: Wire;
let client: TritforgeClient;
before(async () => {
  writeFileSync(IMAGES, exampleImages(16, 1));
  stack = await startStack({ workers: 1 });
  wire = await Wire.to(stack.url);
  client = new TritforgeClient({ url: wire.url, retryMs: 20_000 });
});
after(async () => {
  await wire.close();
  await stack.close();
  rmSync(folder, { recursive: true });
});

const digestOf = (path: string) => `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
const allOf = async <T>(items: AsyncIterable<T>) => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};
const jobCount = async () => (await stack.footprint()).rows.jobs!;

/** A job that has succeeded, with its first artifact. */
async function doneJob() {
  const { id } = await client.jobs.create({ model: MODEL, recipe: WEIGHTS_ONLY });
  const job = await client.jobs.wait(id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const [artifact] = await client.jobs.artifacts(id);
  return { job, artifact: artifact! };
}

test('a job goes from files to files, and is seen on its way', async () => {
  const seen: Job[] = [];
  const calibration = { path: IMAGES, preprocess };
  const { id } = await client.jobs.create({ model: MODEL, datasets: { calibration }, labels: { from: 'files' } });
  const job = await client.jobs.wait(id, { onProgress: (look) => seen.push(look) });
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  assert.deepEqual(seen.at(-1), job);
  assert.ok(seen.length > 1);
  const [artifact] = await client.jobs.artifacts(id);
  const out = newFolder();
  const arrived: number[] = [];
  const paths = await client.artifacts.download(artifact!, out, { onProgress: (bytes) => arrived.push(bytes) });
  assert.deepEqual(paths, [join(out, artifact!.fileName)]);
  assert.equal(digestOf(paths[0]!), artifact!.digest);
  assert.equal(arrived.at(-1), artifact!.sizeBytes);
  assert.deepEqual(readdirSync(out), [artifact!.fileName]);
  assert.equal((await client.jobs.report(id)).artifacts[0]!.fileName, artifact!.fileName);
  assert.match(await client.jobs.reportPage(id), /^<!doctype html>/i);
  assert.deepEqual(await client.artifacts.get(artifact!.id), artifact);
  const listed = await allOf(client.jobs.list({ labels: { from: 'files' }, states: ['succeeded'] }));
  assert.deepEqual(listed, [job]);
});

test('jobs take ids and files, and datasets that are preprocessed in different ways', async () => {
  const model = await client.models.upload(MODEL);
  assert.deepEqual(await client.models.get(model.id), model);
  const data = await client.datasets.upload({ path: IMAGES, preprocess: { ...preprocess, mean: [0, 0, 0] } });
  const { id, datasets, modelId } = await client.jobs.create({
    model: model.id,
    datasets: { calibration: { path: IMAGES, preprocess }, evaluation: data.id },
  });
  assert.deepEqual([modelId, datasets.evaluation], [model.id, data.id]);
  assert.notEqual(datasets.calibration, data.id);
  const both = await client.jobs.create({
    model: MODEL,
    datasets: { calibration: { path: IMAGES, preprocess }, evaluation: { path: IMAGES, preprocess: data.preprocess! } },
  });
  assert.deepEqual(both.datasets, datasets);
  for (const job of [id, both.id]) await client.jobs.wait(job);
  const ids = (await allOf(client.datasets.list({ pageSize: 1 }))).map((dataset) => dataset.id);
  assert.ok(ids.length >= 2 && ids.includes(data.id));
  await client.datasets.delete(data.id);
  await assert.rejects(client.datasets.get(data.id), { code: 'DATASET_NOT_FOUND', status: 404 });
});

test('external data goes by its path from the folder of the model, or by a name', async () => {
  const home = newFolder();
  mkdirSync(join(home, 'weights'), { recursive: true });
  writeFileSync(join(home, 'm.onnx'), matMul(externalWeight('weights/w.bin')));
  writeFileSync(join(home, 'weights/w.bin'), Buffer.alloc(64));
  writeFileSync(join(home, 'elsewhere'), Buffer.alloc(64));
  const path = join(home, 'm.onnx');
  const model = await client.models.upload({ path, data: [join(home, 'weights/w.bin')] });
  assert.deepEqual(
    model.files.map(({ name }) => name),
    ['m.onnx', 'weights/w.bin'],
  );
  const named = { path: join(home, 'elsewhere'), name: 'weights/w.bin' };
  assert.equal((await client.models.upload({ path, data: [named] })).id, model.id);
  await assert.rejects(client.models.upload({ path }), { code: 'MODEL_EXTERNAL_DATA_MISSING' });
  await assert.rejects(client.models.upload({ path: join(home, 'none.onnx') }), { code: 'ENOENT' });
});

test('a job whose answers are lost is started once', async () => {
  const before = await jobCount();
  wire.cut({ direction: 'answers', afterBytes: 20 }, { direction: 'answers', afterBytes: 300 });
  const { id } = await client.jobs.create({ model: MODEL, recipe: WEIGHTS_ONLY });
  assert.equal(wire.cutsLeft, 0);
  assert.equal(await jobCount(), before + 1);
  const key = `nightly-${id}`;
  const twice = () => client.jobs.create({ model: MODEL, recipe: WEIGHTS_ONLY }, { idempotencyKey: key });
  const [first, second] = [await twice(), await twice()];
  assert.equal(first.id, second.id);
  for (const job of [id, first.id]) await client.jobs.wait(job);
});

test('an upload to the service that breaks off goes on where it was, and leaves no upload', async () => {
  const of = await startStack({ storage: 'folder' });
  const line = await Wire.to(of.url);
  try {
    const patient = new TritforgeClient({ url: line.url, resumeFromBytes: 1000 });
    line.cut({ direction: 'requests', afterBytes: 150_000 }, { direction: 'requests', afterBytes: 100_000 });
    const sent: UploadProgress[] = [];
    const model = await patient.models.upload(MODEL, { onUploadProgress: (progress) => sent.push(progress) });
    assert.equal(line.cutsLeft, 0);
    assert.equal(model.digest, digestOf(MODEL.path));
    const { sizeBytes } = model;
    assert.deepEqual(sent.at(-1), { fileName: 'model.onnx', sentBytes: sizeBytes, sizeBytes });
    assert.equal((await of.footprint()).rows.uploads, 0);
  } finally {
    await line.close();
    await of.close();
  }
});

test('a service that dies and comes back is waited for', async () => {
  const [first, second] = [await stack.startApi(), await stack.startApi()];
  const line = await Wire.to(first.url);
  try {
    const patient = new TritforgeClient({ url: line.url });
    const { id } = await patient.jobs.create(ENDLESS);
    const seen: (string | null)[] = [];
    const end = patient.jobs.wait(id, { onProgress: ({ phase }) => void seen.push(phase) });
    await eventually(async () => seen.includes('fineTune'), 30_000);
    line.down();
    first.process.kill('SIGKILL');
    await sleep(1500);
    await client.jobs.cancel(id);
    line.leadTo(second.url);
    assert.equal((await end).state, 'canceled');
  } finally {
    await line.close();
  }
});

test('a wait ends with its time and its signal, and the job goes on', async () => {
  const { id } = await client.jobs.create(ENDLESS);
  await assert.rejects(client.jobs.wait(id, { timeoutMs: 1500 }), { code: 'WAIT_TIMEOUT' });
  const abort = new AbortController();
  const waiting = client.jobs.wait(id, { signal: abort.signal });
  setTimeout(() => abort.abort(), 300);
  await assert.rejects(waiting, { name: 'AbortError' });
  assert.ok(['queued', 'running'].includes((await client.jobs.get(id)).state));
  assert.equal((await client.jobs.cancel(id)).state, 'canceled');
  assert.equal((await client.jobs.wait(id)).state, 'canceled');
});

test('a download that breaks in the middle goes on where it was', async () => {
  const { artifact } = await doneJob();
  const out = newFolder();
  wire.cut({ direction: 'answers', afterBytes: 12_000 }, { direction: 'answers', afterBytes: 9000 });
  const before = wire.answeredBytes;
  const [path] = await client.artifacts.download(artifact, out);
  assert.equal(wire.cutsLeft, 0);
  assert.equal(digestOf(path!), artifact.digest);
  assert.deepEqual(readdirSync(out), [artifact.fileName]);
  assert.ok(wire.answeredBytes - before < artifact.sizeBytes + 6000, 'nothing is sent twice but headers');
});

test('a download that was given up goes on in the next call, unless what is there is not of the file', async () => {
  const { artifact } = await doneJob();
  const out = newFolder();
  const impatient = new TritforgeClient({ url: wire.url, retryMs: 0 });
  wire.cut({ direction: 'answers', afterBytes: 12_000 });
  await assert.rejects(impatient.artifacts.download(artifact, out), { code: 'SERVICE_UNREACHABLE' });
  const [part] = readdirSync(out);
  assert.match(part!, /\.part$/);
  const begun = statSync(join(out, part!)).size;
  assert.ok(begun > 8000, `${begun} bytes`);
  const before = wire.answeredBytes;
  const [path] = await client.artifacts.download(artifact, out);
  assert.ok(wire.answeredBytes - before < artifact.sizeBytes - begun + 3000);
  assert.equal(digestOf(path!), artifact.digest);

  writeFileSync(join(out, part!), Buffer.alloc(5000));
  assert.equal(digestOf((await client.artifacts.download(artifact, out))[0]!), artifact.digest);
  const lie = { ...artifact, files: artifact.files.map((file) => ({ ...file, digest: `sha256:${'0'.repeat(64)}` })) };
  await assert.rejects(client.artifacts.download(lie, out), { code: 'DIGEST_MISMATCH' });
  const escaping = { ...artifact, files: artifact.files.map((file) => ({ ...file, name: '../x.onnx' })) };
  await assert.rejects(client.artifacts.download(escaping, out), { code: 'ANSWER_INVALID' });
  assert.deepEqual(readdirSync(out), [artifact.fileName]);
});

test('refusals have code, status and request id, and say nothing of the key', async () => {
  const strange = new TritforgeClient({ url: stack.url, apiKey: 'tf_of_nobody' });
  const refusal = await strange.models.upload(MODEL).catch((error) => error);
  assert.ok(refusal instanceof ProblemError);
  assert.deepEqual([refusal.code, refusal.status, refusal.retryable], ['UNAUTHENTICATED', 401, false]);
  assert.match(refusal.requestId!, /^[0-9a-f-]{36}$/);
  assert.doesNotMatch(JSON.stringify(refusal), /of_nobody/);
  const { secret } = await clientOf(stack, 'viewers', ['jobs:read']);
  const viewer = new TritforgeClient({ url: stack.url, apiKey: secret });
  assert.deepEqual(await allOf(viewer.jobs.list()), []);
  await assert.rejects(viewer.jobs.create({ model: MODEL }), { code: 'SCOPE_MISSING', status: 403 });
  assert.throws(
    () => new TritforgeClient({ url: stack.url, apiKey: 'tf_secret\n' }),
    (error: Error) => {
      return error instanceof TypeError && !error.message.includes('secret');
    },
  );
});

test('a job that the service refuses leaves nothing there', async () => {
  const before = await stack.footprint();
  const model = { path: join(folder, 'other.onnx') };
  writeFileSync(model.path, matMul(externalWeight('w.bin')));
  writeFileSync(join(folder, 'w.bin'), Buffer.alloc(64, 1));
  const refused = client.jobs.create({ model: { ...model, data: [join(folder, 'w.bin')] } });
  await assert.rejects(refused, { code: 'CALIBRATION_REQUIRED' });
  await eventually(async () => JSON.stringify(await stack.footprint()) === JSON.stringify(before));
});

test('who is not there, and who is not the service, is told apart', async () => {
  const nobody = new TritforgeClient({ url: `http://127.0.0.1:${await freePort()}`, retryMs: 0 });
  await assert.rejects(nobody.jobs.get('job_x'), (error) => {
    return (
      error instanceof TritforgeError && error.code === 'SERVICE_UNREACHABLE' && /ECONNREFUSED/.test(error.message)
    );
  });
  const page = createServer((_request, response) => void response.end('<html>welcome</html>')).listen(0, '127.0.0.1');
  await once(page, 'listening');
  try {
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}/`;
    await assert.rejects(new TritforgeClient({ url, retryMs: 0 }).jobs.get('job_x'), { code: 'ANSWER_INVALID' });
  } finally {
    page.close();
  }
});
