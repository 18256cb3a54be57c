/** Jobs that pass every check at upload and go wrong when they run. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Job } from '@tritforge/contracts';
import { npy, npz } from './support/archives.js';
import { endlessLoop, hungryModel } from './support/bad-models.js';
import { floatArray, samples } from './support/datasets.js';
import { expectProblem, type FormEntries, file } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { type ProbeResult, probeLatency } from './support/latency-probe.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
let probe: { stop: () => Promise<ProbeResult> };
before(async () => {
  stack = await startStack({ workers: 1 });
  probe = probeLatency(stack.url);
});
after(() => stack.close());

/** Runs a job to its bad end; checks what it says of it and that it leaves no file. */
async function fails(state: Job['state'], code: string, entries: FormEntries): Promise<Job> {
  const { id } = await startJob(stack, entries);
  const job = await jobEnd(stack, id);
  assert.deepEqual([job.state, job.error?.code], [state, code], JSON.stringify(job.error));
  assert.ok(
    (job.error?.message ?? '').length > 10 && (job.error?.remediation ?? '').length > 10,
    JSON.stringify(job.error),
  );
  await expectProblem(await stack.fetch(`/jobs/${id}/report`), 'REPORT_UNAVAILABLE');
  const { files } = await stack.footprint();
  assert.deepEqual(
    files.filter((path) => /scratch|staging/.test(path)),
    [],
  );
  assert.equal((await stack.footprint()).rows.artifacts, 0);
  return job;
}

const flat = npz({ x: floatArray([8, 4]) });

test('a selector that matches no layer fails the job by name', async () => {
  const layers = [{ match: { name: '/layer9/*' }, set: { bits: 8 } }];
  const job = await fails('failed', 'SELECTOR_UNMATCHED', [
    ['job', JSON.stringify({ recipe: { layers } })],
    ['model', file(classifier(), 'm.onnx')],
    ['calibration', file(samples(8), 'c.npz')],
  ]);
  assert.match(job.error?.message ?? '', /layer9/);
});

test('calibration data with NaN fails the job', async () => {
  await fails('failed', 'DATASET_VALUES_INVALID', [
    ['model', file(classifier(), 'm.onnx')],
    ['calibration', file(npz({ x: npy('<f4', [2, 3, 8, 8], Buffer.alloc(2 * 3 * 8 * 8 * 4, 0xff)) }), 'c.npz')],
  ]);
});

test('a loop that never ends runs into the deadline', async () => {
  await fails('failed', 'JOB_DEADLINE_EXCEEDED', [
    ['job', JSON.stringify({ deadlineSeconds: 3 })],
    ['model', file(endlessLoop(), 'loop.onnx')],
    ['calibration', file(flat, 'c.npz')],
  ]);
});

test('a model that asks for 16 TB when it runs fails the job', async () => {
  await fails('failed', 'MODEL_RUN_FAILED', [
    ['model', file(hungryModel(), 'hungry.onnx')],
    ['calibration', file(flat, 'c.npz')],
  ]);
});

test('meanwhile the service answered others in time', async (t) => {
  const { count, p99Ms, maxMs } = await probe.stop();
  t.diagnostic(`${count} health checks: 99 % within ${p99Ms.toFixed(1)} ms, the slowest took ${maxMs.toFixed(1)} ms`);
  assert.ok(count > 100, `only ${count} health checks were made`);
  assert.ok(p99Ms < 100, `1 % of the health checks took more than ${p99Ms} ms`);
});
