/** A service whose files are in a bucket, from upload to download. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import type { Artifact, Model } from '@tritforge/contracts';
import { openStore } from '@tritforge/store';
import { samples } from './support/datasets.js';
import { expectJson, expectProblem, file, form } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { classifier } from './support/models.js';
import { randomBytes } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';

const MODEL = classifier(71);
const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

let stack: Stack;
before(async () => {
  stack = await startStack({ storage: 's3', workers: 1 });
});
after(() => stack.close());

/** The digests of what is published in the folder and in the bucket. */
async function published(): Promise<{ readonly folder: string[]; readonly bucket: string[] }> {
  const { files } = await stack.footprint();
  const digests = (pattern: RegExp) =>
    files
      .flatMap((path) => pattern.exec(path)?.[1] ?? [])
      .map((hex) => `sha256:${hex}`)
      .sort();
  return { folder: digests(/\/blobs\/sha256\/..\/(\w+)$/), bucket: digests(/\/sha256\/..\/(\w+)\._S3rver_object$/) };
}

async function bytesOf(response: Response): Promise<Buffer> {
  assert.ok(response.ok, `${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

test('a job takes its model and data from the bucket, and its artifacts are there and can be downloaded', async () => {
  const data = samples(16, 71);
  const { id, modelId } = await startJob(stack, [
    ['model', file(MODEL, 'm.onnx')],
    ['calibration', file(data, 'calibration.npz')],
    ['job', JSON.stringify({ recipe: { artifacts: ['portable'] } })],
  ]);
  const job = await jobEnd(stack, id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const { items } = await expectJson<{ items: Artifact[] }>(await stack.fetch(`/jobs/${id}/artifacts`), 200);
  const artifacts = items.map(({ digest }) => digest);
  assert.deepEqual(await published(), { folder: [], bucket: [digestOf(MODEL), digestOf(data), ...artifacts].sort() });
  for (const { id: artifactId, digest } of items) {
    const path = `/artifacts/${artifactId}/content`;
    const content = await bytesOf(await stack.fetch(path));
    assert.equal(digestOf(content), digest);
    const range = await stack.fetch(path, { headers: { range: 'bytes=100-299' } });
    assert.deepEqual(await bytesOf(range), content.subarray(100, 300));
  }
  assert.equal((await stack.fetch(`/models/${modelId}`, { method: 'DELETE' })).status, 204);
  assert.ok(!(await published()).bucket.includes(digestOf(MODEL)), 'the model is gone from the bucket');
});

test('what a crash left in the bucket is swept, and nothing else', async () => {
  const upload = form([['model', file(classifier(72), 'm.onnx')]]);
  const { digest } = await expectJson<Model>(await stack.fetch('/models', upload), 201);
  const { s3, ...config } = stack.storeConfig;
  assert.ok(s3);
  const store = await openStore({ ...config, s3: { ...s3, timing: { settleMs: 0 } } });
  try {
    const orphan = await store.blobs.stage(Readable.from([randomBytes(72, 1000)]));
    await orphan.send();
    await orphan.discard();
    assert.ok((await published()).bucket.includes(orphan.digest));
    assert.equal(await store.sweepBlobs(), 1);
    const { bucket } = await published();
    assert.deepEqual([bucket.includes(orphan.digest), bucket.includes(digest)], [false, true]);
  } finally {
    await store.close();
  }
});

test('a bucket that goes away is named by readiness and refused uploads, which leave nothing', async () => {
  const broken = await startStack({ storage: 's3' });
  try {
    assert.equal((await broken.fetch('/health/ready')).status, 200);
    const before = await broken.footprint();
    await broken.stopS3();
    const { detail } = await expectProblem(await broken.fetch('/health/ready'), 'SERVICE_UNAVAILABLE');
    assert.match(detail, /^blobs: The bucket tritforge-test cannot be reached/);
    const upload = form([['model', file(MODEL, 'm.onnx')]]);
    await expectProblem(await broken.fetch('/models', upload), 'SERVICE_UNAVAILABLE');
    assert.deepEqual(await broken.footprint(), before);
  } finally {
    await broken.close();
  }
});
