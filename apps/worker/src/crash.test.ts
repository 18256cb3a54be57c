import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore } from '@tritforge/store';
import { pino } from 'pino';
import type { DyingWorkerOptions } from './testing/dying-worker.js';
import { ended, startTestService, type TestService, terminalEvents } from './testing/service.js';
import { startWorker } from './worker.js';

const DYING_WORKER = fileURLToPath(new URL('./testing/dying-worker.js', import.meta.url));
/** At the ends and in the middle; the campaign of faults (`npm run faults`) has all. */
const POINTS = ['claimed', 'quantize', 'publish', 'finished'];

/** Long enough that no worker takes over from another before all have died. */
const LEASE_MS = 12_000;

let service: TestService;

/** Starts a worker that dies of SIGKILL at the given point of its first job; resolves with the signal it died of. */
async function runDyingWorker(dieAt: string): Promise<unknown> {
  const { storeConfig, config } = service;
  const options: DyingWorkerOptions = { storeConfig: { ...storeConfig, queuePrefix: 'dying' }, config, dieAt };
  const worker = spawn(process.execPath, ['--enable-source-maps', DYING_WORKER, JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [, signal] = await once(worker, 'exit');
  return signal;
}

describe('workers that are killed', () => {
  before(async () => {
    service = await startTestService({ leaseMs: LEASE_MS });
  });
  after(() => service.close());

  test('leave jobs that others end exactly once, at whatever point they die', async () => {
    // Deliveries of the dead stay locked for a while; on a queue of their own they are in nobody's way.
    const dyingStore = await openStore({ ...service.storeConfig, queuePrefix: 'dying' });
    const jobs = await Promise.all(POINTS.map(() => dyingStore.submitJob(service.exampleJob)));
    const signals = await Promise.all(POINTS.map(runDyingWorker));
    await dyingStore.close();
    assert.deepEqual(
      signals,
      POINTS.map(() => 'SIGKILL'),
    );
    const before = await Promise.all(jobs.map(({ id }) => service.store.jobs.get(id)));
    assert.equal(
      before.filter((job) => job?.state === 'succeeded').length,
      1,
      'only one died after the end of its job',
    );

    const deps = { store: service.store, config: service.config, logger: pino({ level: 'silent' }) };
    const workers = await Promise.all([1, 2].map(() => startWorker({ ...deps, reconcileIntervalMs: 300 })));
    const finished = await Promise.all(jobs.map(({ id }) => ended(service.store, id)));
    await Promise.all(workers.map((worker) => worker.close()));

    const attempts = finished.map((job) => job.attempts).sort();
    assert.deepEqual(attempts, [1, ...POINTS.slice(1).map(() => 2)]);
    const artifacts = await Promise.all(jobs.map(({ id }) => service.store.artifacts.listByJob(id)));
    for (const [index, { id, state }] of finished.entries()) {
      assert.equal(state, 'succeeded');
      assert.equal(await terminalEvents(service.store, id), 1);
      assert.equal(artifacts[index]?.length, 1);
    }
    assert.equal(new Set(artifacts.map(([artifact]) => artifact?.digest)).size, 1, 'all made the same bytes');
  });
});
