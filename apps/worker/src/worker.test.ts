import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, OPTIONAL_PHASES, PHASES, type Phase, type Recipe } from '@tritforge/contracts';
import type { JobClaim, NewJob, Store } from '@tritforge/store';
import { pino } from 'pino';
import type { WorkerConfig } from './config.js';
import { engineProcesses } from './testing/engine-processes.js';
import { ended, startTestService, type TestService, terminalEvents } from './testing/service.js';
import { watchPhases } from './testing/watch-phases.js';
import { startWorker } from './worker.js';

const MAX_ATTEMPTS = 9;
const logger = pino({ level: process.env.TRITFORGE_TEST_LOG ? 'debug' : 'silent' });

/** Those of a recipe that asks for neither a search nor fine-tuning. */
const USUAL_PHASES = PHASES.filter((phase) => !OPTIONAL_PHASES.has(phase));
/** And those of one that asks for fine-tuning. */
const TRAINING_PHASES = PHASES.filter((phase) => phase === 'fineTune' || !OPTIONAL_PHASES.has(phase));
const TRAINING: Recipe = { fineTune: { epochs: 2, batch: 4 } };

let service: TestService;

/** Runs `work` while a worker takes jobs. */
async function withWorker<T>(
  work: () => Promise<T>,
  { store = service.store, config = {} }: { store?: Store; config?: Partial<WorkerConfig> } = {},
): Promise<T> {
  const worker = await startWorker({
    store,
    config: { ...service.config, ...config },
    logger,
    reconcileIntervalMs: 500,
  });
  try {
    return await work();
  } finally {
    await worker.close();
  }
}

async function runExample(
  job: Partial<NewJob> = {},
  options: { onPhase?: (claim: JobClaim, phase: Phase) => unknown; config?: Partial<WorkerConfig> } = {},
): Promise<Job> {
  const { onPhase = () => {}, config = {} } = options;
  const { id } = await service.store.submitJob({ ...service.exampleJob, ...job });
  return withWorker(() => ended(service.store, id), { store: watchPhases(service.store, onPhase), config });
}

function killEngine(): void {
  for (const pid of engineProcesses()) process.kill(pid, 'SIGKILL');
}

/** Waits until no engine process is left; resolves with the milliseconds that it took. */
async function untilNoEngineRuns(): Promise<number> {
  const startedMs = performance.now();
  while (engineProcesses().length > 0) await sleep(20);
  return performance.now() - startedMs;
}

describe('a worker', { concurrency: false }, () => {
  before(async () => {
    service = await startTestService({ maxAttempts: MAX_ATTEMPTS });
  });
  after(async () => {
    assert.deepEqual(readdirSync(join(service.config.dataDir, 'work')), [], 'scratch files are left over');
    assert.deepEqual(readdirSync(join(service.config.dataDir, 'checkpoints')), [], 'checkpoints are left over');
    await service.close();
  });

  test('counts attempts by outcome and phases by time where Prometheus asks', async () => {
    const worker = await startWorker({
      store: service.store,
      config: { ...service.config, metricsPort: 0 },
      logger,
      reconcileIntervalMs: 500,
    });
    const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${worker.metricsPort}${path}`, init);
    try {
      const { id } = await service.store.submitJob(service.exampleJob);
      const gates = { maxSizeBytes: 1000, onFailure: 'fail' } as const;
      const refused = await service.store.submitJob({ ...service.exampleJob, gates });
      for (const job of [id, refused.id]) await ended(service.store, job);
      // The worker hears of the end last.
      while (!(await (await get('/metrics')).text()).includes('outcome="failed"} 1')) await sleep(50);
      const answer = await get('/metrics');
      assert.match(answer.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
      const text = await answer.text();
      assert.match(text, /^tritforge_worker_job_seconds_count\{outcome="succeeded"\} 1$/m);
      assert.match(text, /^tritforge_worker_job_seconds_count\{outcome="failed"\} 1$/m);
      assert.match(text, /^tritforge_worker_phase_seconds_count\{phase="publish"\} 2$/m);
      assert.match(text, /^tritforge_worker_jobs_running 0$/m);
      assert.match(text, /^tritforge_worker_slots 1$/m);
      assert.equal((await get('/health/live')).status, 200);
      assert.equal((await get('/')).status, 404);
      assert.equal((await get('/metrics', { method: 'POST' })).status, 405);
    } finally {
      await worker.close();
    }
    await assert.rejects(get('/metrics'));
  });

  test('runs a job through all phases and publishes report and artifact', async () => {
    const job = await runExample();
    assert.equal(job.state, 'succeeded');
    assert.equal(job.error, null);
    const events = await service.store.events.read({ jobId: job.id });
    assert.deepEqual(
      events.filter(({ to, phase }) => to === 'running' && phase !== null).map(({ phase }) => phase),
      USUAL_PHASES,
    );
    const [artifact] = await service.store.artifacts.listByJob(job.id);
    const report = await service.store.jobs.getReport(job.id);
    assert.equal(artifact?.fileName, 'model.fgq-n64.portable.onnx');
    assert.equal(artifact?.digest, report?.artifacts[0]?.digest);
    assert.deepEqual(await service.store.blobs.stat(artifact!.digest), { sizeBytes: artifact!.sizeBytes });
    assert.deepEqual(job.artifactIds, [artifact!.id]);
  });

  test('trains on the training data of a job, in a phase of its own', async () => {
    const calibration = service.exampleJob.datasets!.calibration!;
    const job = await runExample({ recipe: TRAINING, datasets: { calibration, training: calibration } });
    assert.equal(job.state, 'succeeded', JSON.stringify(job.error));
    const events = await service.store.events.read({ jobId: job.id });
    const phases = events.filter(({ to, phase }) => to === 'running' && phase !== null).map(({ phase }) => phase);
    assert.deepEqual(phases, TRAINING_PHASES);
    const report = await service.store.jobs.getReport(job.id);
    assert.deepEqual(
      report!.provenance.datasets.map(({ role }) => role),
      ['calibration', 'training'],
    );
    assert.deepEqual(
      report!.fineTune?.curve.map(({ epoch }) => epoch),
      [0, 1, 2],
    );
  });

  test('fails a job for what its recipe says, at the first attempt', async () => {
    const job = await runExample({ recipe: { layers: [{ match: { name: '/nothing/*' }, set: { bits: 8 } }] } });
    assert.equal(job.state, 'failed');
    assert.equal(job.error?.code, 'SELECTOR_UNMATCHED');
    assert.equal(job.attempts, 1);
  });

  test('fails a job whose gate fails when it asked for that, and keeps what was made', async () => {
    const job = await runExample({ gates: { maxSizeBytes: 1000, onFailure: 'fail' } });
    assert.equal(job.state, 'failed');
    assert.equal(job.error?.code, 'GATE_FAILED');
    assert.equal(job.gates.passed, false);
    assert.equal(job.artifactIds.length, 1);
    assert.notEqual(await service.store.jobs.getReport(job.id), null);
  });

  test('lets a job succeed whose gate fails when it asked for a report only', async () => {
    const job = await runExample({ gates: { maxSizeBytes: 1000 } });
    assert.equal(job.state, 'succeeded');
    assert.equal(job.gates.passed, false);
  });

  test('ends a job at its deadline', async () => {
    const job = await runExample({}, { config: { jobSeconds: 0.1 } });
    assert.equal(job.state, 'failed');
    assert.equal(job.error?.code, 'JOB_DEADLINE_EXCEEDED');
    assert.equal(job.attempts, 1);
  });

  test('ends a job that needs too much memory', async () => {
    const job = await runExample({}, { config: { jobMemoryBytes: 60 * 2 ** 20 } });
    assert.equal(job.state, 'failed');
    assert.equal(job.error?.code, 'JOB_MEMORY_EXCEEDED');
    assert.equal(job.attempts, 1);
  });

  test('cancels a job within a second, at each phase', async () => {
    for (const phase of TRAINING_PHASES) {
      let stoppedAfterMs: Promise<number> | undefined;
      const job = await runExample(phase === 'fineTune' ? { recipe: { fineTune: { minutes: 10, batch: 4 } } } : {}, {
        onPhase: async (claim, reached) => {
          if (reached !== phase) return;
          await service.store.cancelJob(claim.jobId);
          stoppedAfterMs = untilNoEngineRuns();
        },
      });
      assert.equal(job.state, 'canceled', phase);
      assert.ok((await stoppedAfterMs!) < 1000, `${phase}: ${await stoppedAfterMs} ms`);
      assert.deepEqual(job.artifactIds, []);
      assert.equal(await terminalEvents(service.store, job.id), 1);
    }
  });

  test('tries a job again whose process was killed, at each phase', {
    skip: process.platform !== 'linux',
  }, async () => {
    const deadly = TRAINING_PHASES.filter((phase) => phase !== 'publish');
    assert.equal(deadly.length + 1, MAX_ATTEMPTS);
    const job = await runExample(
      { recipe: TRAINING },
      {
        onPhase: ({ attempt }, phase) => {
          if (phase === deadly[attempt - 1]) killEngine();
        },
      },
    );
    assert.equal(job.state, 'succeeded');
    assert.equal(job.attempts, MAX_ATTEMPTS);
    assert.equal(job.artifactIds.length, 1);
    assert.equal(await terminalEvents(service.store, job.id), 1);
  });

  test('goes on behind the layers of an attempt whose process was killed, to the same bytes', {
    skip: process.platform !== 'linux',
  }, async () => {
    const left: number[] = [];
    const checkpointsOf = (id: string) => readdirSync(join(service.config.dataDir, 'checkpoints', id));
    const job = await runExample(
      {},
      {
        onPhase: ({ attempt, jobId }, phase) => {
          if (phase === 'calibrate') left.push(checkpointsOf(jobId).length);
          if (phase === 'encode' && attempt === 1) killEngine();
        },
      },
    );
    assert.equal(job.attempts, 2);
    const report = await service.store.jobs.getReport(job.id);
    assert.deepEqual(left, [0, report?.layers.filter(({ applied }) => applied.bits !== null).length]);
    const undisturbed = await runExample();
    const digests = await Promise.all([job, undisturbed].map(({ id }) => service.store.artifacts.listByJob(id)));
    assert.equal(digests[0]![0]?.digest, digests[1]![0]?.digest);
  });

  test('gives a job up whose process is killed each time', { skip: process.platform !== 'linux' }, async () => {
    const job = await runExample({}, { onPhase: (_, phase) => phase === 'read' && killEngine() });
    assert.equal(job.state, 'failed');
    assert.equal(job.error?.code, 'JOB_CRASHED');
    assert.equal(job.attempts, MAX_ATTEMPTS);
    assert.equal(await terminalEvents(service.store, job.id), 1);
  });

  test('hands its job back when it is closed, and the attempt does not count', async () => {
    const { id } = await service.store.submitJob(service.exampleJob);
    const reached = new EventEmitter();
    const store = watchPhases(service.store, (_, phase) => reached.emit(phase));
    await withWorker(() => once(reached, 'calibrate'), { store });
    assert.deepEqual(engineProcesses(), []);
    assert.equal((await service.store.jobs.get(id))?.state, 'queued');
    const job = await withWorker(() => ended(service.store, id));
    assert.equal(job.state, 'succeeded');
    assert.equal(job.attempts, 1);
  });

  test('shares the queue with others: each job runs once, and the same job gives the same bytes', async () => {
    const jobs = await Promise.all(Array.from({ length: 4 }, () => service.store.submitJob(service.exampleJob)));
    const finished = await withWorker(() =>
      withWorker(() => Promise.all(jobs.map(({ id }) => ended(service.store, id)))),
    );
    assert.deepEqual(
      finished.map(({ state, attempts }) => [state, attempts]),
      jobs.map(() => ['succeeded', 1]),
    );
    const artifacts = await Promise.all(jobs.map(({ id }) => service.store.artifacts.listByJob(id)));
    assert.equal(new Set(artifacts.map(([artifact]) => artifact?.digest)).size, 1);
  });

  test('goes on after the store was away for a moment', async () => {
    let failures = 0;
    const flaky: Store = {
      ...service.store,
      jobs: {
        ...service.store.jobs,
        heartbeat: async (...args) => {
          if (failures++ % 2 === 0) throw new Error('connection reset');
          return service.store.jobs.heartbeat(...args);
        },
        finish: async (...args) => {
          const finished = await service.store.jobs.finish(...args);
          if (failures++ < 1000) {
            failures = 1000;
            throw new Error('connection reset after the commit');
          }
          return finished;
        },
      },
    };
    const { id } = await service.store.submitJob(service.exampleJob);
    const job = await withWorker(() => ended(service.store, id).finally(() => sleep(300)), { store: flaky });
    assert.equal(job.state, 'succeeded');
    assert.equal(await terminalEvents(service.store, id), 1);
    assert.notEqual(await service.store.blobs.stat((await service.store.artifacts.listByJob(id))[0]!.digest), null);
  });
});
