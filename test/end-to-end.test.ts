/** The whole way over HTTP with two workers: upload, quantize, report, download, run in onnxruntime. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Artifact, Dataset, Job, Model, Report } from '@tritforge/contracts';
import { createOnnxRuntime } from '@tritforge/quant-core';
import { exampleImages, labelledSamples, samples } from './support/datasets.js';
import { EXAMPLE } from './support/example.js';
import { expectJson, file, form, json } from './support/http.js';
import { cancelWithin, jobEnd, jobWhen, startJob } from './support/jobs.js';
import { CLASSES, classifier } from './support/models.js';
import { randomFloats } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';

const MODEL = classifier(1);
const CALIBRATION = samples(32, 2);
const EVALUATION = labelledSamples(64, 3);
const RECIPE = { method: 'fgq', weights: { groupSize: 4 }, artifacts: ['portable', 'compat', 'accelerated'] };

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 2 });
});
after(() => stack.close());

const formJob = (options: object) =>
  [
    ['job', JSON.stringify(options)],
    ['model', file(MODEL, 'classifier.onnx')],
    ['calibration', file(CALIBRATION, 'calibration.npz')],
    ['evaluation', file(EVALUATION, 'evaluation.npz')],
  ] as const;

async function artifactsOf({ id }: Job): Promise<Artifact[]> {
  const answer = await stack.fetch(`/jobs/${id}/artifacts`);
  return (await expectJson<{ items: Artifact[] }>(answer, 200)).items;
}

async function download({ id }: Artifact): Promise<Buffer> {
  const answer = await stack.fetch(`/artifacts/${id}/content`);
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

/** Outputs of a model file for one random input. */
async function run(content: Buffer): Promise<Float32Array> {
  const folder = await mkdtemp(join(tmpdir(), 'tritforge-run-'));
  try {
    const path = join(folder, 'model.onnx');
    await writeFile(path, content);
    const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'all' });
    const data = randomFloats(4)(8 * 3 * 8 * 8);
    const feeds = new Map([['x', { dtype: 'float32' as const, shape: [8, 3, 8, 8], data }]]);
    const output = (await session.run(feeds)).get('y');
    await session.release();
    return output?.data as Float32Array;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('uploaded model and data become artifacts whose bytes match their digests and run in onnxruntime', async () => {
  const upload = async <T>(path: string, part: string, content: Buffer, name: string) =>
    expectJson<T>(await stack.fetch(path, form([[part, file(content, name)]])), 201);
  const model = await upload<Model>('/models', 'model', MODEL, 'classifier.onnx');
  const calibration = await upload<Dataset>('/datasets', 'data', CALIBRATION, 'calibration.npz');
  const evaluation = await upload<Dataset>('/datasets', 'data', EVALUATION, 'evaluation.npz');
  const datasets = { calibration: calibration.id, evaluation: evaluation.id };
  const created = await stack.fetch(
    '/jobs',
    json({ modelId: model.id, datasets, recipe: RECIPE, metric: 'agreement' }),
  );
  const { id } = await expectJson<Job>(created, 202);

  const job = await jobEnd(stack, id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  assert.ok(job.startedAt !== null && job.finishedAt !== null && job.engineVersion !== null);

  const artifacts = await artifactsOf(job);
  assert.deepEqual(
    artifacts.map(({ profile, requires }) => [profile, requires.ops]),
    [
      ['portable', null],
      ['compat', null],
      ['accelerated', 'tritforge>=1'],
    ],
  );
  assert.deepEqual(
    job.artifactIds,
    artifacts.map((artifact) => artifact.id),
  );
  const original = await run(MODEL);
  for (const artifact of artifacts) {
    const content = await download(artifact);
    assert.equal(`sha256:${createHash('sha256').update(content).digest('hex')}`, artifact.files[0]?.digest);
    assert.equal(content.length, artifact.sizeBytes);
    assert.ok(content.length < MODEL.length);
    const output = await run(content);
    assert.equal(output.length, 8 * CLASSES);
    assert.ok(cosine(output, original) > 0.9, `cosine ${cosine(output, original)}`);
  }

  const report = await expectJson<Report>(await stack.fetch(`/jobs/${id}/report`), 200);
  assert.equal(report.model.digest, model.digest);
  assert.deepEqual(
    report.artifacts.map(({ digest }) => digest),
    artifacts.map(({ digest }) => digest),
  );
  assert.ok(report.artifacts.every(({ verification }) => verification.passed));
  assert.equal(report.accuracy?.samples, 64);
  assert.equal(report.layers.length, 4);
});

function cosine(left: Float32Array, right: Float32Array): number {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  return dot(left, right) / Math.sqrt(dot(left, left) * dot(right, right));
}

test('two runs of one job, on whichever workers, give the same bytes', async () => {
  const started = await Promise.all([1, 2].map(() => startJob(stack, formJob({ recipe: RECIPE }))));
  const jobs = await Promise.all(started.map(({ id }) => jobEnd(stack, id)));
  assert.deepEqual(
    jobs.map(({ state, error }) => error ?? state),
    ['succeeded', 'succeeded'],
  );
  const [first, second] = await Promise.all(jobs.map(artifactsOf));
  assert.deepEqual(
    first?.map(({ digest }) => digest),
    second?.map(({ digest }) => digest),
  );
});

test('a job gives uniform 2-bit weights and activations, in a file that runs', async () => {
  const recipe = { method: 'uniform', layers: [{ match: { name: '*' }, set: { groupSize: null } }] };
  const { id } = await startJob(stack, formJob({ recipe, metric: 'agreement' }));
  const job = await jobEnd(stack, id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const report = await expectJson<Report>(await stack.fetch(`/jobs/${id}/report`), 200);
  const uniform = report.layers.filter(({ applied }) => applied.bits === 2);
  assert.ok(uniform.length > 0);
  for (const { applied } of uniform) {
    assert.deepEqual(applied, { bits: 2, groupSize: null, planes: null, activationBits: 2 });
  }
  const [artifact] = await artifactsOf(job);
  assert.match(artifact!.fileName, /\.uniform-a2\.portable\.onnx$/);
  assert.equal((await run(await download(artifact!))).length, 8 * CLASSES);
  assert.match(await (await stack.fetch(`/jobs/${id}/report.html`)).text(), /uniform 2-bit, 2-bit input/);
});

test('a job trains on the data that it brings, says what came of it, and gives the same bytes again', async () => {
  const [model, preprocess] = await Promise.all(
    ['model.onnx', 'preprocess.json'].map((name) => readFile(EXAMPLE + name)),
  );
  const fineTune = { epochs: 2, batch: 16, learningRate: 0.001, augment: { shift: 1, mirror: true } };
  const options = { recipe: { fineTune }, preprocess: JSON.parse(String(preprocess)) };
  const entries = [
    ['model', file(model!, 'model.onnx')],
    ['calibration', file(exampleImages(16, 1), 'calibration.npz')],
    ['training', file(exampleImages(64, 2), 'training.npz')],
    ['job', JSON.stringify(options)],
  ] as const;
  const started = await Promise.all([1, 2].map(() => startJob(stack, entries)));
  const jobs = await Promise.all(started.map(({ id }) => jobEnd(stack, id)));
  for (const { state, error } of jobs) assert.equal(state, 'succeeded', JSON.stringify(error));
  const [first, second] = await Promise.all(jobs.map(artifactsOf));
  assert.equal(first![0]!.digest, second![0]!.digest);

  const { id, datasets } = jobs[0]!;
  const report = await expectJson<Report>(await stack.fetch(`/jobs/${id}/report`), 200);
  const training = await expectJson<Dataset>(await stack.fetch(`/datasets/${datasets.training}`), 200);
  assert.deepEqual(report.provenance.datasets.map(({ role, digest, samples: count }) => [role, digest, count]).at(-1), [
    'training',
    training.digest,
    64,
  ]);
  const { curve, bestEpoch, samples: trained, heldOutSamples } = report.fineTune!;
  assert.deepEqual(
    curve.map(({ epoch }) => epoch),
    [0, 1, 2],
  );
  assert.ok(curve[bestEpoch]!.heldOutLoss <= curve[0]!.heldOutLoss);
  assert.ok(trained > 0 && heldOutSamples > 0 && trained + heldOutSamples <= 64);
  assert.ok(report.artifacts.every(({ verification }) => verification.passed));
  const page = await (await stack.fetch(`/jobs/${id}/report.html`)).text();
  assert.match(page, /<section id="fine-tuning"/);
});

test('a running job is canceled within a second and leaves no artifact', async () => {
  const { id } = await startJob(stack, [
    ['job', JSON.stringify({ recipe: { weights: { groupSize: 64 } }, labels: { test: 'cancel' } })],
    ['model', file(classifier(5), 'classifier.onnx')],
    ['calibration', file(samples(4000, 6), 'calibration.npz')],
    ['evaluation', file(labelledSamples(4000, 7), 'evaluation.npz')],
  ]);
  await jobWhen(stack, id, ({ state, phase }) => state === 'running' && phase !== null);
  assert.deepEqual(await artifactsOf(await cancelWithin(stack, id, 1000)), []);
});

test('a gate that fails ends the job with its report', async () => {
  const { id } = await startJob(
    stack,
    formJob({ recipe: { weights: { groupSize: 64 } }, gates: { maxSizeBytes: 100, onFailure: 'fail' } }),
  );
  const job = await jobEnd(stack, id);
  assert.equal(job.state, 'failed');
  assert.equal(job.error?.code, 'GATE_FAILED');
  assert.equal(job.gates.passed, false);
  assert.equal(job.gates.results[0]?.name, 'maxSizeBytes');
  assert.equal((await stack.fetch(`/jobs/${id}/report`)).status, 200);
});
