/**
 * Bad requests, files and jobs through HTTP. Each is answered with a problem document of its own code, leaves nothing in
 * storage or database, and does not keep the service from answering others.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Dataset, Model } from '@tritforge/contracts';
import { npz } from './support/archives.js';
import { BAD_DATASETS } from './support/bad-datasets.js';
import { BAD_MODELS } from './support/bad-models.js';
import { BAD_REQUESTS } from './support/bad-requests.js';
import { floatArray, labelledSamples, samples } from './support/datasets.js';
import { expectProblem, type FormEntries, file, form, json } from './support/http.js';
import { type ProbeResult, probeLatency } from './support/latency-probe.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

/** What a health check may take while bad input is handled. */
const MAX_LATENCY_MS = 100;

let stack: Stack;
let probe: { stop: () => Promise<ProbeResult> };
let modelId: string;
let dataId: string;
let unlabelledId: string;

before(async () => {
  stack = await startStack({ env: { TRITFORGE_MAX_UPLOAD_BYTES: String(8 * 2 ** 20) } });
  const upload = async <T>(path: string, entries: FormEntries) =>
    (await (await stack.fetch(path, form(entries))).json()) as T;
  modelId = (await upload<Model>('/models', [['model', file(classifier(), 'model.onnx')]])).id;
  dataId = (await upload<Dataset>('/datasets', [['data', file(labelledSamples(4), 'data.npz')]])).id;
  unlabelledId = (await upload<Dataset>('/datasets', [['data', file(samples(4), 'data.npz')]])).id;
  probe = probeLatency(stack.url);
});
after(() => stack.close());

/** Sends something bad; checks the answer and that nothing is left of it. */
async function refuses(code: string, send: () => Promise<Response>): Promise<void> {
  const before = await stack.footprint();
  const { detail, field = '' } = await expectProblem(await send(), code);
  assert.ok(detail.length + field.length < 4000, `${detail.length} characters are more than anybody reads`);
  assert.deepEqual(await stack.footprint(), before);
}

for (const { what, code, parts } of BAD_MODELS) {
  test(`${what} is refused as a model: ${code}`, () => refuses(code, () => stack.fetch('/models', form(parts))));
}

for (const { what, code, parts } of BAD_DATASETS) {
  test(`${what} is refused as a dataset: ${code}`, () => refuses(code, () => stack.fetch('/datasets', form(parts))));
}

for (const { what, code, send } of BAD_REQUESTS) {
  test(`${what} is refused: ${code}`, () => refuses(code, () => send(stack, { modelId, dataId })));
}

/** A recipe that leaves activations in floating point but for what one rule sets. */
const withRule = (set: object) => ({ activations: { bits: null }, layers: [{ match: { name: '*' }, set }] });

/** A job by JSON, of the stored model. */
const jobs: readonly [what: string, code: string, body: () => object][] = [
  ['a job of a model that is not there', 'MODEL_NOT_FOUND', () => ({ modelId: `mdl_${'0'.repeat(26)}` })],
  [
    'a job of a dataset that is not there',
    'DATASET_NOT_FOUND',
    () => ({ modelId, datasets: { calibration: `dst_${'0'.repeat(26)}` } }),
  ],
  ['8-bit activations without calibration data', 'CALIBRATION_REQUIRED', () => ({ modelId })],
  [
    'a rule of 4-bit inputs without calibration data',
    'CALIBRATION_REQUIRED',
    () => ({ modelId, recipe: withRule({ activationBits: 4 }) }),
  ],
  [
    'a rule of 4-bit inputs for layers in floating point',
    'RECIPE_INVALID',
    () => ({ modelId, recipe: withRule({ activationBits: 4, bits: null }) }),
  ],
  [
    'fine-tuning with neither training nor calibration data',
    'CALIBRATION_REQUIRED',
    () => ({ modelId, recipe: { activations: { bits: null }, fineTune: { epochs: 1 } } }),
  ],
  [
    'training data for a recipe without fine-tuning',
    'RECIPE_INVALID',
    () => ({ modelId, datasets: { calibration: dataId, training: unlabelledId } }),
  ],
  [
    'training data that are not there',
    'DATASET_NOT_FOUND',
    () => ({
      modelId,
      datasets: { calibration: dataId, training: `dst_${'0'.repeat(26)}` },
      recipe: { fineTune: {} },
    }),
  ],
  [
    'a training of epochs and minutes',
    'RECIPE_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { fineTune: { epochs: 1, minutes: 1 } } }),
  ],
  [
    'a training that is to take longer than its job may',
    'RECIPE_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { fineTune: {} }, deadlineSeconds: 600 }),
  ],
  [
    'a training by labels',
    'BODY_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { fineTune: { loss: 'crossEntropy' } } }),
  ],
  [
    'a search for channels and for precisions',
    'RECIPE_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { method: 'auto', nce: {} } }),
  ],
  [
    'a search for channels that is to take longer than its job may',
    'RECIPE_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { method: 'nce' }, deadlineSeconds: 2400 }),
  ],
  [
    'no channels at all',
    'BODY_INVALID',
    () => ({ modelId, datasets: { calibration: dataId }, recipe: { method: 'nce', nce: { widths: { conv: 0 } } } }),
  ],
  [
    'a metric without evaluation data',
    'METRIC_UNSUPPORTED',
    () => ({ modelId, datasets: { calibration: dataId }, metric: 'top1' }),
  ],
  [
    'a metric that needs labels on data without labels',
    'DATASET_LABELS_MISSING',
    () => ({ modelId, datasets: { calibration: dataId, evaluation: unlabelledId }, metric: 'top1' }),
  ],
  [
    'a recipe that contradicts itself',
    'RECIPE_INVALID',
    () => ({ modelId, recipe: { method: 'int8', firstLast: { bits: 2 } } }),
  ],
  ['a group size of 5', 'BODY_INVALID', () => ({ modelId, recipe: { weights: { groupSize: 5 } } })],
  [
    '3 bits for a layer',
    'BODY_INVALID',
    () => ({ modelId, recipe: { layers: [{ match: { op: 'Conv' }, set: { bits: 3 } }] } }),
  ],
  ['an unknown field', 'BODY_INVALID', () => ({ modelId, recipie: {} })],
  ['a label with NUL', 'BODY_INVALID', () => ({ modelId, labels: { team: 'a\u0000b' } })],
  ['a deadline of -1 s', 'BODY_INVALID', () => ({ modelId, deadlineSeconds: -1 })],
  [
    '1001 layer rules',
    'BODY_INVALID',
    () => ({ modelId, recipe: { layers: Array(1001).fill({ match: { op: 'Conv' }, set: { bits: 8 } }) } }),
  ],
];
for (const [what, code, body] of jobs) {
  test(`${what} is refused: ${code}`, () => refuses(code, () => stack.fetch('/jobs', json(body()))));
}

test('what is said of missing and of superfluous training data names the part to change', async () => {
  const fieldOf = async (body: object) =>
    ((await (await stack.fetch('/jobs', json(body))).json()) as { field?: string }).field;
  const fineTune = { activations: { bits: null }, fineTune: {} };
  assert.equal(await fieldOf({ modelId, recipe: fineTune }), 'datasets.training');
  assert.equal(await fieldOf({ modelId, datasets: { calibration: dataId, training: dataId } }), 'recipe.fineTune');
});

/** Data that do not fit the model, in a form that brings both. */
const unfit: readonly [what: string, code: string, data: Buffer][] = [
  ['an array of another name', 'DATASET_NAME_MISMATCH', npz({ image: floatArray([4, 3, 8, 8]) })],
  ['an array of another shape', 'DATASET_SHAPE_MISMATCH', npz({ x: floatArray([4, 8, 8, 3]) })],
];
for (const [what, code, data] of unfit) {
  test(`calibration data with ${what} is refused together with its model: ${code}`, () =>
    refuses(code, () =>
      stack.fetch(
        '/jobs',
        form([
          ['model', file(classifier(99), 'm.onnx')],
          ['calibration', file(data, 'c.npz')],
        ]),
      ),
    ));

  test(`training data with ${what} is refused together with model and calibration data: ${code}`, () =>
    refuses(code, () =>
      stack.fetch(
        '/jobs',
        form([
          ['model', file(classifier(99), 'm.onnx')],
          ['calibration', file(samples(4, 99), 'c.npz')],
          ['training', file(data, 't.npz')],
          ['job', '{"recipe":{"fineTune":{}}}'],
        ]),
      ),
    ));
}

test('meanwhile the service answered others in time', async (t) => {
  const { count, p99Ms, maxMs } = await probe.stop();
  t.diagnostic(`${count} health checks: 99 % within ${p99Ms.toFixed(1)} ms, the slowest took ${maxMs.toFixed(1)} ms`);
  assert.ok(count > 200, `only ${count} health checks were made`);
  assert.ok(p99Ms < MAX_LATENCY_MS, `1 % of the health checks took more than ${p99Ms} ms`);
});
