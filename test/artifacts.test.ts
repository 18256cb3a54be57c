/** Downloads: ranges, digests and conditional requests. The job is finished by hand, as a worker would. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifact, Job, Model, Report } from '@tritforge/contracts';
import { REPORT_SECURITY_POLICY, renderReport } from '@tritforge/report-html';
import { openStore } from '@tritforge/store';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { classifier } from './support/models.js';
import { randomBytes } from './support/random.js';
import { type Stack, startStack } from './support/stack.js';

const CONTENT = randomBytes(1, 100_000);
const WEIGHTS = randomBytes(2, 5_000);
const DIGEST = `sha-256=:${createHash('sha256').update(CONTENT).digest('base64')}:`;

let stack: Stack;
let artifact: Artifact;
let jobId: string;
let content: string;

before(async () => {
  stack = await startStack();
  artifact = await endedJob(CONTENT);
  jobId = artifact.jobId;
  content = `/artifacts/${artifact.id}/content`;
});
after(() => stack.close());

/** The artifact of a job that has ended. */
async function endedJob(bytes: Buffer): Promise<Artifact> {
  const upload = await stack.fetch('/models', form([['model', file(classifier(), 'm.onnx')]]));
  const { id: modelId } = (await upload.json()) as Model;
  const created = await stack.fetch('/jobs', json({ modelId, recipe: { activations: { bits: null } } }));
  const { id } = (await created.json()) as Job;
  await finish(id, bytes);
  const { items } = await expectJson<{ items: Artifact[] }>(await stack.fetch(`/jobs/${id}/artifacts`), 200);
  return items[0]!;
}

/** Ends a job with an artifact of three files. */
async function finish(id: string, bytes: Buffer): Promise<void> {
  const store = await openStore(stack.storeConfig);
  try {
    const claim = await store.jobs.claim(id, { id: 'test', engineVersion: '0.0.0' });
    const files = [
      { name: 'quantisé.onnx', blob: await store.blobs.stage(Readable.from([bytes])) },
      { name: 'quantisé.onnx.data', blob: await store.blobs.stage(Readable.from([WEIGHTS])) },
      { name: HOSTILE_NAME, blob: await store.blobs.stage(Readable.from([WEIGHTS])) },
    ];
    const described = {
      profile: 'portable' as const,
      opset: 14,
      irVersion: 7,
      requires: { onnxruntime: '>=1.21', ops: null },
      bitsPerWeight: { quantizedLayers: 2.1, wholeModel: 3 },
    };
    assert.ok(
      await store.jobs.finish(claim!, { state: 'succeeded', report: REPORT, artifacts: [{ ...described, files }] }),
    );
  } finally {
    await store.close();
  }
}

const REPORT: Report = {
  model: { digest: 'sha256:0', sizeBytes: 1, parameters: 1, opset: 17, nodes: 1, macs: null },
  artifacts: [],
  baseline: null,
  accuracy: null,
  latency: null,
  layers: [],
  kept: [{ node: '<script>alert(1)</script>', op: 'Conv', reason: 'excluded by the recipe' }],
  gates: [],
  warnings: [],
  provenance: { engineVersion: '0.0.0', onnxruntimeVersion: '1.0', recipe: {}, seed: 0, datasets: [] },
};

const HOSTILE_NAME = 'w"; filename="evil.exe"\r\nX-Injected: yes\r\n\r\n.data';

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

test('a job that has ended shows its report and its artifacts', async () => {
  const job = await expectJson<Job>(await stack.fetch(`/jobs/${jobId}`), 200);
  assert.equal(job.state, 'succeeded');
  assert.deepEqual(job.artifactIds, [artifact.id]);
  assert.deepEqual(await expectJson(await stack.fetch(`/jobs/${jobId}/report`), 200), REPORT);
  assert.deepEqual(await expectJson(await stack.fetch(`/artifacts/${artifact.id}`), 200), artifact);
  await expectProblem(await stack.fetch(`/jobs/${jobId}/cancel`, { method: 'POST' }), 'JOB_ALREADY_ENDED');
});

test('the report is a page too, which may neither load nor run anything', async () => {
  const response = await stack.fetch(`/jobs/${jobId}/report.html`);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(response.headers.get('content-security-policy'), REPORT_SECURITY_POLICY);
  assert.match(
    REPORT_SECURITY_POLICY,
    /^default-src 'none'; style-src 'sha256-[^' ]+'; .*frame-ancestors 'none'; sandbox$/,
  );
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
  const page = await response.text();
  assert.equal(page, renderReport(REPORT));
  assert.match(page, /&lt;script&gt;alert\(1\)/);
  assert.doesNotMatch(page, /<script/);
});

test('a download is the bytes of the digest, with the name of the file', async () => {
  const response = await stack.fetch(content);
  assert.deepEqual(await bytesOf(response), CONTENT);
  const { headers } = response;
  assert.equal(headers.get('content-digest'), DIGEST);
  assert.equal(headers.get('etag'), `"${artifact.files[0]?.digest}"`);
  assert.equal(headers.get('content-length'), String(CONTENT.length));
  assert.equal(headers.get('accept-ranges'), 'bytes');
  assert.match(headers.get('content-disposition') ?? '', /filename\*=UTF-8''quantis%C3%A9\.onnx$/);
});

test('external data is downloaded by its name', async () => {
  const response = await stack.fetch(`${content}?file=${encodeURIComponent('quantisé.onnx.data')}`);
  assert.deepEqual(await bytesOf(response), WEIGHTS);
  await expectProblem(await stack.fetch(`${content}?file=other`), 'ARTIFACT_NOT_FOUND');
});

test('a name can neither end its header nor begin another', async () => {
  const response = await stack.fetch(`${content}?file=${encodeURIComponent(HOSTILE_NAME)}`);
  assert.deepEqual(await bytesOf(response), WEIGHTS);
  assert.equal(response.headers.get('x-injected'), null);
  const [plain, encoded] = (response.headers.get('content-disposition') ?? '').split("; filename*=UTF-8''");
  assert.equal(plain, 'attachment; filename="w_; filename=_evil.exe___X-Injected: yes____.data"');
  assert.equal(decodeURIComponent(encoded!), HOSTILE_NAME);
});

test('ranges give their part, and the digest of the whole', async () => {
  const cases = [
    ['bytes=0-9', 0, 10],
    ['bytes=99990-', 99_990, 100_000],
    ['bytes=-1', 99_999, 100_000],
    ['bytes=5-9999999', 5, 100_000],
  ] as const;
  for (const [range, start, end] of cases) {
    const response = await stack.fetch(content, { headers: { range } });
    assert.equal(response.status, 206, range);
    assert.deepEqual(await bytesOf(response), CONTENT.subarray(start, end), range);
    assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/100000`);
    assert.equal(response.headers.get('repr-digest'), DIGEST);
    assert.equal(response.headers.get('content-digest'), null);
  }
});

test('a range outside the file is refused with its size', async () => {
  const response = await stack.fetch(content, { headers: { range: 'bytes=100000-' } });
  assert.equal(response.headers.get('content-range'), 'bytes */100000');
  await expectProblem(response, 'RANGE_NOT_SATISFIABLE');
});

test('a broken download is taken up again only for the same bytes', async () => {
  const etag = `"${artifact.files[0]?.digest}"`;
  const resumed = await stack.fetch(content, { headers: { range: 'bytes=50000-', 'if-range': etag } });
  assert.equal(resumed.status, 206);
  const other = await stack.fetch(content, { headers: { range: 'bytes=50000-', 'if-range': '"other"' } });
  assert.equal(other.status, 200);
  assert.equal((await bytesOf(other)).length, CONTENT.length);
});

test('who has the bytes gets 304, and HEAD gets the headers alone', async () => {
  const etag = `"${artifact.files[0]?.digest}"`;
  const known = await stack.fetch(content, { headers: { 'if-none-match': etag } });
  assert.equal(known.status, 304);
  const head = await stack.fetch(content, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get('content-length'), String(CONTENT.length));
  assert.equal((await bytesOf(head)).length, 0);
});

test('a download that races with the delete of its job has the file, or is told that it is gone', async () => {
  for (let round = 0; round < 5; round++) {
    const bytes = randomBytes(10 + round, 50_000);
    const doomed = await endedJob(bytes);
    const downloads = Array.from({ length: 30 }, async (_, i) => {
      await sleep(i);
      return stack.fetch(`/artifacts/${doomed.id}/content`);
    });
    await sleep(10);
    assert.equal((await stack.fetch(`/jobs/${doomed.jobId}`, { method: 'DELETE' })).status, 204);
    for (const answer of await Promise.all(downloads)) {
      if (answer.status === 200) assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes);
      else {
        assert.equal(answer.headers.get('cache-control'), null);
        await expectProblem(answer, 'ARTIFACT_NOT_FOUND');
      }
    }
    await expectProblem(await stack.fetch(`/artifacts/${doomed.id}/content`), 'ARTIFACT_NOT_FOUND');
  }
});
