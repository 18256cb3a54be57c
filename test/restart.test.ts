/** `npm start` as a whole: what survives when every process of it is killed, and what a second start does. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Artifact, Job, Model } from '@tritforge/contracts';
import { eventually } from './support/eventually.js';
import { EXAMPLE } from './support/example.js';
import { expectJson, file } from './support/http.js';
import { jobEnd, jobWhen, startJob } from './support/jobs.js';
import { freePort, living, StartedService } from './support/started-service.js';

test('after kill -9 of everything models, jobs and artifacts are there, and the running job ends once', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tritforge-restart-'));
  // Root gives the database to another user, who must reach it.
  await chmod(dataDir, 0o755);
  const port = await freePort();
  try {
    const first = await StartedService.start(port, dataDir);
    const done = await jobEnd(first, (await startExample(first)).id);
    const [artifact] = await artifactsOf(first, done);
    const running = await startExample(first);
    await jobWhen(first, running.id, ({ state }) => state === 'running');

    await refuseSecondStart(port, dataDir);
    await first.killAll();

    const second = await StartedService.start(port, dataDir);
    const model = await expectJson<Model>(await second.fetch(`/models/${done.modelId}`), 200);
    assert.equal(model.fileName, 'model.onnx');
    assert.deepEqual(await expectJson<Job>(await second.fetch(`/jobs/${done.id}`), 200), done);
    assert.equal(await downloadedDigest(second, artifact!), artifact!.digest);
    const resumed = await jobEnd(second, running.id);
    assert.deepEqual([resumed.state, resumed.attempts], ['succeeded', 2]);
    const [again, ...others] = await artifactsOf(second, resumed);
    assert.deepEqual([again!.digest, others], [artifact!.digest, []]);

    const pids = await second.processes();
    assert.equal(await second.interrupt(), 0);
    await eventually(async () => living(pids).length === 0);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

/** A second start says why it cannot be, and leaves the first as it is. */
async function refuseSecondStart(port: number, dataDir: string): Promise<void> {
  const [onPort, onFolder] = await Promise.all([
    StartedService.fail(port, `${dataDir}-other`),
    StartedService.fail(await freePort(), dataDir),
  ]);
  assert.equal(onPort.exitCode, 1);
  assert.match(onPort.messages, new RegExp(`Port ${port} of 127.0.0.1 is taken`));
  assert.equal(onFolder.exitCode, 1);
  assert.match(onFolder.messages, /A service with the data in .* runs already: http:/);
}

async function startExample(service: StartedService): Promise<Job> {
  const [model, calibration, evaluation, job] = await Promise.all(
    ['model.onnx', 'calibration.npz', 'evaluation.zip', 'job.json'].map((name) => readFile(join(EXAMPLE, name))),
  );
  return startJob(service, [
    ['job', job!.toString()],
    ['model', file(model!, 'model.onnx')],
    ['calibration', file(calibration!, 'calibration.npz')],
    ['evaluation', file(evaluation!, 'evaluation.zip')],
  ]);
}

async function artifactsOf(service: StartedService, { id }: Job): Promise<Artifact[]> {
  return (await expectJson<{ items: Artifact[] }>(await service.fetch(`/jobs/${id}/artifacts`), 200)).items;
}

async function downloadedDigest(service: StartedService, { id }: Artifact): Promise<string> {
  const answer = await service.fetch(`/artifacts/${id}/content`);
  assert.equal(answer.status, 200);
  return `sha256:${createHash('sha256')
    .update(Buffer.from(await answer.arrayBuffer()))
    .digest('hex')}`;
}
