/** Jobs as streams of events, and answers that wait. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { isTerminal, type Job } from '@tritforge/contracts';
import { readEvents, type StreamEvent } from './support/event-stream.js';
import { eventually } from './support/eventually.js';
import { exampleEntries } from './support/example.js';
import { expectJson, expectProblem, file, form, json } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 1 });
});
after(() => stack.close());

const WEIGHTS_ONLY = { recipe: { activations: { bits: null } } };
const smallJob = (service: Pick<Stack, 'fetch'>, seed: number) =>
  startJob(service, [
    ['model', file(classifier(seed), 'm.onnx')],
    ['job', JSON.stringify(WEIGHTS_ONLY)],
  ]);
const logged = (events: readonly StreamEvent[]) => events.filter(({ id }) => id !== null);
const follow = (id: string, lastEventId?: string, url = stack.url) =>
  fetch(`${url}/jobs/${id}/events`, { headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } });

test('a job is followed from its first event to its end, with its progress, and the stream ends', async () => {
  const job = await startJob(stack, exampleEntries());
  const events = await readEvents(await follow(job.id));
  const types = logged(events).map(({ event }) => event);
  assert.deepEqual([types[0], types[1], types.at(-1)], ['job.queued', 'job.running', 'job.succeeded']);
  assert.ok(types.slice(2, -1).every((type) => type === 'job.phase'));
  const phases = logged(events)
    .filter(({ event }) => event === 'job.phase')
    .map(({ data }) => data.phase);
  assert.ok(
    ['calibrate', 'encode', 'measure'].every((phase) => phases.includes(phase)),
    phases.join(' '),
  );
  assert.ok(events.some(({ event, data }) => event === 'job.progress' && data.progress !== null));
  const ids = logged(events).map(({ id }) => Number(id));
  assert.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  );
  for (const { data, id } of logged(events)) assert.deepEqual([data.id, data.jobId], [id, job.id]);
});

test('who connects again behind any event gets the rest and nothing twice, and nothing when there is nothing left', async () => {
  const { id } = await smallJob(stack, 1);
  await jobEnd(stack, id);
  const all = logged(await readEvents(await follow(id)));
  for (const [i, event] of all.entries()) {
    const response = await follow(id, event.id!);
    if (i === all.length - 1) assert.equal(response.status, 204);
    else assert.deepEqual(logged(await readEvents(response)), all.slice(i + 1));
  }
  const byQuery = await fetch(`${stack.url}/jobs/${id}/events?after=${all[0]!.id}`);
  assert.deepEqual(logged(await readEvents(byQuery)), all.slice(1));
});

test('a stream goes on at another API process when the first is killed, without a gap', async () => {
  const [first, second] = [await stack.startApi(), await stack.startApi()];
  const job = await startJob(stack, exampleEntries());
  const begun = logged(
    await readEvents(await follow(job.id, undefined, first.url), (events) => logged(events).length === 3),
  );
  first.process.kill('SIGKILL');
  const rest = logged(await readEvents(await follow(job.id, begun.at(-1)!.id!, second.url)));
  assert.deepEqual([...begun, ...rest], logged(await readEvents(await follow(job.id))));
});

test('all jobs of a project are followed together, and those of other projects are not', async () => {
  const [ours, theirs] = [await clientOf(stack, 'ours'), await clientOf(stack, 'theirs')];
  const headers = { authorization: `Bearer ${ours.secret}` };
  const past = await jobEnd(ours, (await smallJob(ours, 2)).id);
  const stream = await fetch(`${stack.url}/events`, { headers });
  const jobs = [await smallJob(ours, 3), await smallJob(theirs, 4), await smallJob(ours, 5)];
  const ends = (events: readonly StreamEvent[]) => events.filter(({ event }) => event === 'job.succeeded').length;
  const events = await readEvents(stream, (seen) => ends(seen) === 2);
  assert.deepEqual([...new Set(events.map(({ data }) => data.jobId))].sort(), [jobs[0]!.id, jobs[2]!.id].sort());
  const whole = await readEvents(await fetch(`${stack.url}/events?after=0`, { headers }), (seen) => ends(seen) === 3);
  assert.equal(whole[0]!.data.jobId, past.id);
  assert.equal((await fetch(`${stack.url}/jobs/${jobs[1]!.id}/events`, { headers })).status, 404);
});

test('a place that nobody gave out is refused', async () => {
  const headers = { 'last-event-id': 'yesterday' };
  await expectProblem(await stack.fetch('/events', { headers }), 'HEADER_INVALID');
  await expectProblem(await stack.fetch('/events?after=-1'), 'QUERY_INVALID');
});

test('a job can be waited for when it is sent, and gives its end in the same answer', async () => {
  const wanted = form([
    ['model', file(classifier(6), 'm.onnx')],
    ['job', JSON.stringify(WEIGHTS_ONLY)],
  ]);
  const headers = { ...(wanted.headers as Record<string, string>), prefer: 'respond-async, wait=30' };
  const response = await stack.fetch('/jobs', { ...wanted, headers });
  const job = await expectJson<Job>(response, 200);
  assert.equal(job.state, 'succeeded');
  assert.equal(response.headers.get('preference-applied'), 'wait=30');
  assert.equal(response.headers.get('location'), `/jobs/${job.id}`);
});

test('a wait ends with its time, with the end of the job and with its next change', async () => {
  const idle = await startStack({ env: { TRITFORGE_MAX_EVENT_STREAMS: '1' } });
  try {
    const { id } = await smallJob(idle, 7);
    const timed = async (headers: Record<string, string>) => {
      const startedMs = performance.now();
      const response = await idle.fetch(`/jobs/${id}`, { headers });
      return { response, ms: performance.now() - startedMs };
    };
    const waited = await timed({ prefer: 'wait=1' });
    assert.equal((await expectJson<Job>(waited.response, 200)).state, 'queued');
    assert.ok(waited.ms > 900 && waited.ms < 5000, `${waited.ms} ms`);
    assert.ok((await timed({ prefer: 'wait=soon' })).ms < 900, 'a preference without sense is none');
    const etag = waited.response.headers.get('etag')!;
    assert.equal((await timed({ prefer: 'wait=1', 'if-none-match': etag })).response.status, 304);

    const [byEnd, byChange] = [timed({ prefer: 'wait=40' }), timed({ prefer: 'wait=40', 'if-none-match': etag })];
    const stream = await fetch(`${idle.url}/jobs/${id}/events`);
    await expectProblem(await idle.fetch(`/jobs/${id}/events`), 'SERVICE_OVERLOADED');
    await idle.fetch(`/jobs/${id}/cancel`, { method: 'POST' });
    for (const { response, ms } of await Promise.all([byEnd, byChange])) {
      assert.ok(isTerminal((await expectJson<Job>(response, 200)).state));
      assert.ok(ms < 10_000, `${ms} ms`);
    }
    assert.equal(logged(await readEvents(stream)).at(-1)!.event, 'job.canceled');
    await eventually(async () => (await fetch(`${idle.url}/jobs/${id}/events`)).status === 200);
  } finally {
    await idle.close();
  }
});

test('streams end when the service shuts down', async () => {
  const api = await stack.startApi();
  const reading = readEvents(await fetch(`${api.url}/events`));
  const exit = once(api.process, 'exit');
  const startMs = performance.now();
  api.process.kill('SIGTERM');
  assert.deepEqual(await reading, []);
  assert.deepEqual(await exit, [0, null]);
  // Long before the time that running requests may take is over: the connection is not waited for.
  assert.ok(performance.now() - startMs < 15_000);
});

test('a job that is sent again with its key and a wait gives its end then', async () => {
  const { id: modelId } = await expectJson<{ id: string }>(
    await stack.fetch('/models', form([['model', file(classifier(8), 'm.onnx')]])),
    201,
  );
  const wanted = json({ modelId, ...WEIGHTS_ONLY });
  const headers = { ...(wanted.headers as Record<string, string>), 'idempotency-key': 'waited-for' };
  const first = await expectJson<Job>(await stack.fetch('/jobs', { ...wanted, headers }), 202);
  const again = await stack.fetch('/jobs', { ...wanted, headers: { ...headers, prefer: 'wait=30' } });
  const job = await expectJson<Job>(again, 200);
  assert.deepEqual([job.id, job.state], [first.id, 'succeeded']);
});
