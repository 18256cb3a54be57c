/** What is deleted, by hand or because its time is over, and what stays. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import type { Artifact, AuditEntry, Dataset, Job, Model } from '@tritforge/contracts';
import { Client as Database } from 'pg';
import { samples } from './support/datasets.js';
import { readEvents } from './support/event-stream.js';
import { eventually } from './support/eventually.js';
import { expectJson, expectProblem, type FormEntries, file, form, json } from './support/http.js';
import { jobEnd, startJob } from './support/jobs.js';
import { clientOf } from './support/keys.js';
import { classifier } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
const WEIGHTS_ONLY = { activations: { bits: null } };

let stack: Stack;
let db: Database;
before(async () => {
  const env = { TRITFORGE_MODEL_RETENTION_SECONDS: String(DAY_SECONDS), TRITFORGE_JOB_RETENTION_SECONDS: '7200' };
  stack = await startStack({ env, workers: 1 });
  db = new Database({ connectionString: stack.databaseUrl });
  await db.connect();
});
after(async () => {
  await db.end();
  await stack.close();
});

type Service = Pick<Stack, 'fetch'>;
const jobForm = (seed: number, options: object = {}): FormEntries => [
  ['model', file(classifier(seed), 'm.onnx')],
  ['job', JSON.stringify({ recipe: WEIGHTS_ONLY, ...options })],
];
const runJob = async (service: Service, seed: number, options?: object): Promise<Job> => {
  const job = await jobEnd(service, (await startJob(service, jobForm(seed, options))).id);
  assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
  return job;
};
const read = async <T>(path: string): Promise<T> => expectJson<T>(await stack.fetch(path), 200);
const patch = (path: string, body: unknown) => stack.fetch(path, json(body, 'PATCH'));
const remove = (path: string, service: Service = stack) => service.fetch(path, { method: 'DELETE' });
const isAbout = (expiresAt: string | null, seconds: number) => {
  const away = (Date.parse(expiresAt!) - Date.now()) / 1000;
  assert.ok(Math.abs(away - seconds) < 60, `${expiresAt} is not in ${seconds} s`);
};

test('a job that is deleted takes report, artifacts and events along, and their files', async () => {
  const { id: modelId } = await expectJson<Model>(await stack.fetch('/models', form([jobForm(1)[0]!])), 201);
  const before = await stack.footprint();
  const job = await runJob(stack, 1);
  assert.equal(job.modelId, modelId);
  const [artifactId] = job.artifactIds;
  const paths = ['', '/report', '/report.html', '/artifacts', '/events'].map((path) => `/jobs/${job.id}${path}`);
  const ofArtifact = [`/artifacts/${artifactId}`, `/artifacts/${artifactId}/content`];
  for (const path of [...paths, ...ofArtifact]) assert.equal((await stack.fetch(path)).status, 200, path);
  assert.equal((await remove(`/jobs/${job.id}`)).status, 204);
  for (const path of paths) await expectProblem(await stack.fetch(path), 'JOB_NOT_FOUND');
  for (const path of ofArtifact) await expectProblem(await stack.fetch(path), 'ARTIFACT_NOT_FOUND');
  await expectProblem(await remove(`/jobs/${job.id}`), 'JOB_NOT_FOUND');
  const { rows, files } = await stack.footprint();
  assert.deepEqual({ rows, files }, { ...before, rows: { ...before.rows, past_runs: before.rows.past_runs! + 1 } });
});

test('a job that has not ended is canceled before it is deleted', async () => {
  const client = await clientOf(stack, 'hasty');
  const slow = { recipe: { ...WEIGHTS_ONLY, fineTune: { minutes: 5 } } };
  const entries: FormEntries = [...jobForm(2, slow), ['training', file(samples(64, 2), 'training.npz')]];
  const { id } = await startJob(client, entries);
  const { remediation } = await expectProblem(await remove(`/jobs/${id}`, client), 'JOB_NOT_ENDED');
  assert.match(remediation!, /cancel/i);
  await eventually(async () => {
    const { state } = await expectJson<Job>(await client.fetch(`/jobs/${id}`), 200);
    return state === 'running';
  }, 30_000);
  await expectProblem(await remove(`/jobs/${id}`, client), 'JOB_NOT_ENDED');
  await client.fetch(`/jobs/${id}/cancel`, { method: 'POST' });
  assert.equal((await remove(`/jobs/${id}`, client)).status, 204);
  await eventually(async () => !(await stack.hasRunningTask()));
  await runJob(client, 2);
});

test('a request that is sent again is answered as it was, though its job is gone', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const send = (more: Record<string, string> = {}) => {
    const init = form(jobForm(3));
    return stack.fetch('/jobs', { ...init, headers: { ...(init.headers as object), ...headers, ...more } });
  };
  const first = await expectJson<Job>(await send(), 202);
  await jobEnd(stack, first.id);
  assert.equal((await remove(`/jobs/${first.id}`)).status, 204);
  for (const more of [{}, { prefer: 'wait=5' }]) {
    const again = await send(more as Record<string, string>);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    assert.deepEqual(await expectJson<Job>(again, 202), first);
  }
});

test('whoever follows all jobs goes on behind an event of a job that is gone', async () => {
  const client = await clientOf(stack, 'followed');
  const [gone, kept] = [await runJob(client, 4), await runJob(client, 5)];
  const headers = { authorization: `Bearer ${client.secret}` };
  const follow = (query: string) => fetch(`${stack.url}/events${query}`, { headers });
  const isEnd = (events: readonly { event: string }[]) => events.at(-1)?.event === 'job.succeeded';
  const ofGone = await readEvents(await follow('?after=0'), isEnd);
  assert.equal(ofGone.at(-1)!.data.jobId, gone.id);
  assert.equal((await remove(`/jobs/${gone.id}`, client)).status, 204);
  for (const { id } of [{ id: '0' }, ...ofGone]) {
    const rest = await readEvents(await follow(`?after=${id}`), isEnd);
    assert.ok(rest.every(({ data }) => data.jobId === kept.id));
    assert.equal(rest[0]!.event, 'job.queued');
  }
});

test('how long something is kept is said where it is sent, by the service where nothing is said, and can be changed', async () => {
  const byForm = await stack.fetch(`/models?expiresInSeconds=${HOUR_SECONDS}`, form([jobForm(6)[0]!]));
  const model = await expectJson<Model>(byForm, 201);
  isAbout(model.expiresAt, HOUR_SECONDS);
  const octets = { 'content-type': 'application/octet-stream' };
  const whole = { method: 'POST', headers: octets, body: classifier(7) };
  isAbout((await expectJson<Model>(await stack.fetch('/models?expiresInSeconds=60', whole), 201)).expiresAt, 60);
  isAbout((await expectJson<Model>(await stack.fetch('/models', whole), 200)).expiresAt, DAY_SECONDS);
  const data = () => form([['data', file(samples(4, 6), 'data.npz')]]);
  const dataset = await expectJson<Dataset>(await stack.fetch('/datasets?expiresInSeconds=60', data()), 201);
  isAbout(dataset.expiresAt, 60);
  assert.equal((await expectJson<Dataset>(await stack.fetch('/datasets', data()), 200)).expiresAt, null);

  const wanted = { modelId: model.id, recipe: WEIGHTS_ONLY };
  const job = await expectJson<Job>(await stack.fetch('/jobs', json({ ...wanted, expiresInSeconds: 60 })), 202);
  isAbout(job.expiresAt, 60);
  isAbout((await expectJson<Job>(await stack.fetch('/jobs', json(wanted)), 202)).expiresAt, 7200);
  const forever = await stack.fetch('/jobs', json({ ...wanted, expiresInSeconds: null }));
  assert.equal((await expectJson<Job>(forever, 202)).expiresAt, null);

  for (const path of [`/models/${model.id}`, `/datasets/${dataset.id}`, `/jobs/${job.id}`]) {
    const longer = await expectJson<Model | Dataset | Job>(await patch(path, { expiresInSeconds: DAY_SECONDS }), 200);
    isAbout(longer.expiresAt, DAY_SECONDS);
    const kept = await expectJson<Model | Dataset | Job>(await patch(path, { expiresInSeconds: null }), 200);
    assert.equal(kept.expiresAt, null);
    for (const body of [{}, { expiresInSeconds: 59 }, { expiresInSeconds: '60' }, { expiresInSeconds: 60, id: 'x' }])
      await expectProblem(await patch(path, body), 'BODY_INVALID');
    assert.equal((await read<Model | Dataset | Job>(path)).expiresAt, null);
  }
});

test('what a form brings along is kept as long as its job is to be, or as the service says', async () => {
  const inputs = (seed: number, options?: object): FormEntries => [
    ...jobForm(seed, options),
    ['evaluation', file(samples(4, seed), 'evaluation.npz')],
  ];
  const sent = async (entries: FormEntries) => {
    const job = await startJob(stack, entries);
    const dataset = await read<Dataset>(`/datasets/${job.datasets.evaluation}`);
    return [await read<Model>(`/models/${job.modelId}`), dataset, job].map(({ expiresAt }) => expiresAt);
  };
  for (const expiresAt of await sent(inputs(8, { expiresInSeconds: HOUR_SECONDS }))) isAbout(expiresAt, HOUR_SECONDS);
  const [model, dataset, job] = await sent(inputs(9));
  isAbout(model!, DAY_SECONDS);
  assert.equal(dataset, null);
  isAbout(job!, 7200);
  assert.deepEqual(await sent(inputs(10, { expiresInSeconds: null })), [null, null, null]);
});

test('workers delete what has expired, and the audit log says so', async () => {
  const client = await clientOf(stack, 'swept');
  const job = await runJob(client, 11, { expiresInSeconds: 60 });
  const artifact = await expectJson<Artifact>(await client.fetch(`/artifacts/${job.artifactIds[0]}`), 200);
  assert.equal(artifact.expiresAt, job.expiresAt);
  isAbout(job.expiresAt, 60);
  const past = 'expires_at - make_interval(hours => 1)';
  await db.query(`UPDATE jobs SET expires_at = ${past}, finished_at = now() - interval '2 minutes' WHERE id = $1`, [
    job.id,
  ]);
  await db.query(`UPDATE models SET expires_at = ${past} WHERE id = $1`, [job.modelId]);
  const isGone = async (path: string) => (await client.fetch(path)).status === 404;
  await eventually(async () => (await isGone(`/jobs/${job.id}`)) && (await isGone(`/models/${job.modelId}`)), 30_000);
  const names = [artifact.digest.slice('sha256:'.length), createHash('sha256').update(classifier(11)).digest('hex')];
  await eventually(async () => {
    const { files } = await stack.footprint();
    return !files.some((path) => names.includes(basename(path)));
  });
  const { items } = await expectJson<{ items: AuditEntry[] }>(await client.fetch('/audit'), 200);
  const swept = items.filter(({ action }) => action.startsWith('expiry.'));
  assert.deepEqual(swept.map(({ action, target, keyId, status }) => [action, target, keyId, status]).toSorted(), [
    ['expiry.deleteJob', `/jobs/${job.id}`, null, null],
    ['expiry.deleteModel', `/models/${job.modelId}`, null, null],
  ]);
});
