/** Jobs with the method nce over HTTP, on the example model and few images. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { Artifact, Job, Report } from '@tritforge/contracts';
import { exampleImages } from './support/datasets.js';
import { EXAMPLE } from './support/example.js';
import { expectJson, type FormEntries, file } from './support/http.js';
import { cancelWithin, jobEnd, jobWhen, startJob } from './support/jobs.js';
import { type Stack, startStack } from './support/stack.js';

const FINE_TUNE = { epochs: 1, batch: 16, augment: { shift: 1, mirror: true } };

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 1 });
});
after(() => stack.close());

async function startSearch(nce: object, images: number): Promise<Job> {
  const [model, preprocess] = await Promise.all(
    ['model.onnx', 'preprocess.json'].map((name) => readFile(EXAMPLE + name)),
  );
  const recipe = { method: 'nce', nce, fineTune: FINE_TUNE };
  const entries: FormEntries = [
    ['model', file(model!, 'model.onnx')],
    ['calibration', file(exampleImages(16, 1), 'calibration.npz')],
    ['training', file(exampleImages(images, 2), 'training.npz')],
    ['job', JSON.stringify({ recipe, preprocess: JSON.parse(String(preprocess)) })],
  ];
  return startJob(stack, entries);
}

test('a job finds numbers of channels within the budgets, says how far it is, and gives a file that has them', async () => {
  // As long a search as takes seconds: its progress is there to be seen for all but the first epoch.
  const { id } = await startSearch({ epochs: 8, budgets: { macs: 0.7 } }, 256);
  const seen = await jobWhen(stack, id, ({ phase, progress }) => phase === 'search' && (progress?.detail ?? '') !== '');
  assert.match(seen.progress!.detail!, /^epoch \d, loss/);
  const job = await jobEnd(stack, id, 120_000);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  const report = await expectJson<Report>(await stack.fetch(`/jobs/${id}/report`), 200);
  const { widths, macs, parameters, course } = report.nce!;
  assert.ok(widths.length > 0 && widths.some(({ original, result }) => original !== result));
  assert.ok(macs.result <= 0.7 * macs.original && parameters.result <= parameters.original);
  assert.equal(course.length, 8);
  const channels = new Map(report.layers.map(({ node, shape }) => [node, shape![0]]));
  for (const { layers, result } of widths) for (const layer of layers) assert.equal(channels.get(layer), result);
  const { items } = await expectJson<{ items: Artifact[] }>(await stack.fetch(`/jobs/${id}/artifacts`), 200);
  assert.match(items[0]!.fileName, /\.nce-a2\.portable\.onnx$/);
  assert.ok(report.artifacts.every(({ verification }) => verification.passed));
  const page = await (await stack.fetch(`/jobs/${id}/report.html`)).text();
  assert.match(page, /<section id="channels"/);
});

test('a search is canceled in the middle, and leaves nothing', async () => {
  const { id } = await startSearch({ minutes: 10 }, 512);
  await jobWhen(stack, id, ({ phase, progress }) => phase === 'search' && (progress?.detail ?? '') !== '');
  await cancelWithin(stack, id, 1000);
  assert.deepEqual(
    (await stack.footprint()).files.filter((path) => path.includes('scratch')),
    [],
  );
});
