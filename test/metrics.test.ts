/** What Prometheus reads. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROLES } from '@tritforge/contracts';
import { expectProblem, file } from './support/http.js';
import { startJob } from './support/jobs.js';
import { clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
before(async () => {
  stack = await startStack();
});
after(() => stack.close());

/** Values by name and labels. */
async function scrape(): Promise<Map<string, number>> {
  const response = await stack.fetch('/metrics');
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('jobs are counted by state, requests by route, and the process by itself', async () => {
  const wanted = JSON.stringify({ recipe: { activations: { bits: null } } });
  const ids: string[] = [];
  for (const seed of [1, 2, 3]) {
    const { id } = await startJob(stack, [
      ['model', file(classifier(seed), 'm.onnx')],
      ['job', wanted],
    ]);
    ids.push(id);
  }
  await stack.fetch(`/jobs/${ids[0]}/cancel`, { method: 'POST' });
  for (const id of ids) await stack.fetch(`/jobs/${id}`);
  const values = await scrape();
  assert.equal(values.get('tritforge_jobs{state="queued"}'), 2);
  assert.equal(values.get('tritforge_jobs{state="canceled"}'), 1);
  assert.equal(values.get('tritforge_jobs{state="running"}'), 0);
  assert.ok(values.get('tritforge_oldest_queued_job_seconds')! > 0);
  const labels = 'method="GET",route="/jobs/:id",status="200"';
  assert.equal(values.get(`tritforge_http_request_seconds_count{${labels}}`), 3);
  assert.ok(values.get('process_resident_memory_bytes')! > 10 ** 7);
  assert.ok(![...values.keys()].some((name) => name.includes(ids[0]!)), 'no series for each job');
});

test('they are for those who may read them', async () => {
  const developer = await clientOf(stack, 'default', ROLES.developer);
  await expectProblem(await developer.fetch('/metrics'), 'SCOPE_MISSING');
  const reader = await clientOf(stack, 'default', ['metrics:read']);
  assert.equal((await reader.fetch('/metrics')).status, 200);
});
