/** Objects of a bucket that stand for files. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Dataset, Job, Model, Problem } from '@tritforge/contracts';
import { samples } from './support/datasets.js';
import { expectJson, expectProblem, type FormEntries, file, form } from './support/http.js';
import { startJob } from './support/jobs.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

const MODEL = classifier(81);
const DATA = samples(4, 81);
const OPEN = 's3://tritforge-test/shared';

let stack: Stack;
before(async () => {
  const env = {
    TRITFORGE_SOURCES: 's3://tritforge-test',
    TRITFORGE_S3_PREFIX: 'service',
    TRITFORGE_MAX_UPLOAD_BYTES: '1000000',
  };
  stack = await startStack({ storage: 's3', env });
  await stack.putObject('shared/nets/net.onnx', MODEL);
  await stack.putObject('shared/data.npz', DATA);
  await stack.putObject('shared/large.onnx', Buffer.alloc(1_000_001));
  await stack.putObject('shared/none.onnx', Buffer.alloc(0));
});
after(() => stack.close());

const post = (path: string, entries: FormEntries) => stack.fetch(path, form(entries));
const refused = async (address: string, code: string): Promise<Problem> =>
  expectProblem(await post('/models', [['model', address]]), code);

test('an object is a model, which says where it came from, and is the same as its bytes', async () => {
  const model = await expectJson<Model>(await post('/models', [['model', `${OPEN}/nets/net.onnx`]]), 201);
  assert.deepEqual([model.fileName, model.source], ['net.onnx', `${OPEN}/nets/net.onnx`]);
  assert.equal(model.digest, `sha256:${createHash('sha256').update(MODEL).digest('hex')}`);
  const sent = await post('/models', [['model', file(MODEL, 'another.onnx')]]);
  assert.deepEqual(await expectJson<Model>(sent, 200), model);
  const other = await expectJson<Model>(await post('/models', [['model', file(classifier(82), 'sent.onnx')]]), 201);
  assert.equal(other.source, null);
});

test('an object is a dataset, and objects and files make a job together', async () => {
  const dataset = await expectJson<Dataset>(await post('/datasets', [['data', `${OPEN}/data.npz\n`]]), 201);
  assert.deepEqual([dataset.fileName, dataset.source], ['data.npz', `${OPEN}/data.npz`]);
  const job: Job = await startJob(stack, [
    ['model', file(MODEL, 'net.onnx')],
    ['calibration', `${OPEN}/data.npz`],
  ]);
  assert.equal(job.datasets.calibration, dataset.id);
});

test('what is no object, too large, empty or not allowed is refused by name and leaves nothing', async () => {
  const before = await stack.footprint();
  const missing = await refused(`${OPEN}/nothing.onnx`, 'SOURCE_NOT_FOUND');
  assert.match(missing.detail, /s3:\/\/tritforge-test\/shared\/nothing\.onnx/);
  assert.equal(missing.field, 'model');
  await refused(`${OPEN}/large.onnx`, 'UPLOAD_TOO_LARGE');
  await refused(`${OPEN}/none.onnx`, 'UPLOAD_EMPTY');
  await refused('s3://elsewhere/net.onnx', 'SOURCE_NOT_ALLOWED');
  await refused(`${OPEN}/../service/net.onnx`, 'SOURCE_NOT_ALLOWED');
  assert.deepEqual(await stack.footprint(), before);
});

test("what the service stores itself is nobody's source", async () => {
  const { digest } = await expectJson<Model>(await post('/models', [['model', file(classifier(83), 'own.onnx')]]), 201);
  const hex = digest.slice('sha256:'.length);
  await refused(`s3://tritforge-test/service/sha256/${hex.slice(0, 2)}/${hex}`, 'SOURCE_NOT_ALLOWED');
});

test('no object is read unless the operator says so', async () => {
  const closed = await startStack();
  try {
    const answer = await closed.fetch('/models', form([['model', `${OPEN}/nets/net.onnx`]]));
    const { remediation } = await expectProblem(answer, 'SOURCE_NOT_ALLOWED');
    assert.match(remediation ?? '', /TRITFORGE_SOURCES/);
  } finally {
    await closed.close();
  }
});
