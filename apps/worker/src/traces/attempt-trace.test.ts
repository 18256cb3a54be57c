import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OPTIONAL_PHASES, PHASES, type TraceContext } from '@tritforge/contracts';
import { openStore, type Store } from '@tritforge/store';
import { NO_TELEMETRY, startTelemetry, type Telemetry } from '@tritforge/telemetry';
import { type CollectedSpan, startCollector, type TestCollector } from '@tritforge/telemetry/testing/collector';
import { pino } from 'pino';
import { readConfig } from '../config.js';
import type { DyingWorkerOptions } from '../testing/dying-worker.js';
import { engineProcesses } from '../testing/engine-processes.js';
import { ended, startTestService, type TestService } from '../testing/service.js';
import { watchPhases } from '../testing/watch-phases.js';
import { startWorker } from '../worker.js';

const DYING_WORKER = fileURLToPath(new URL('../testing/dying-worker.js', import.meta.url));
const STEPS = ['fetchInputs', ...PHASES.filter((phase) => !OPTIONAL_PHASES.has(phase))];
const SENDER = 'b7ad6b7169203331';
/** Spans begin at whole milliseconds of the clock and end by how long they took. */
const CLOCK_NS = 2_000_000n;

let service: TestService;
let collector: TestCollector;
let telemetry: Telemetry = NO_TELEMETRY;
const problems: string[] = [];
before(async () => {
  service = await startTestService({ leaseMs: 1500 });
  collector = await startCollector();
  // The library reads its settings there, also in processes that this one starts.
  Object.assign(process.env, collector.settings);
  const config = readConfig(process.env);
  const onProblem = (message: string) => void problems.push(message);
  telemetry = await startTelemetry(config, { serviceName: 'worker', version: '1', onProblem });
});
after(async () => {
  await telemetry.close();
  assert.deepEqual(problems, []);
  await collector.close();
  await service.close();
});

/** The spans of attempts at a job, and of their steps, as they began. */
interface Trace {
  readonly attempts: CollectedSpan[];
  stepsOf(attempt: CollectedSpan): CollectedSpan[];
}

/** Sends a job of the example as a part of a trace. */
async function submitTraced(store: Store, traceId: string): Promise<string> {
  const traceContext: TraceContext = { traceparent: `00-${traceId}-${SENDER}-01` };
  return (await store.submitJob({ ...service.exampleJob, traceContext })).id;
}

/** Lets a worker run a job to its end. */
async function traceOf(id: string, traceId: string, store = service.store): Promise<Trace> {
  const logger = pino({ level: 'silent' });
  const worker = await startWorker({ store, config: service.config, logger, telemetry, reconcileIntervalMs: 300 });
  try {
    assert.equal((await ended(service.store, id)).state, 'succeeded');
  } finally {
    await worker.close();
  }
  const found = () => collector.spans.filter((span) => span.traceId === traceId);
  const isDone = () => found().some(({ attributes }) => attributes['tritforge.job.outcome'] === 'succeeded');
  for (let round = 0; round < 100 && !isDone(); round++) await sleep(50);
  const byStart = (left: CollectedSpan, right: CollectedSpan) => Number(left.startNs - right.startNs);
  return {
    attempts: found()
      .filter(({ name }) => name === 'process jobs')
      .sort(byStart),
    stepsOf: ({ spanId }) =>
      found()
        .filter(({ parentSpanId }) => parentSpanId === spanId)
        .sort(byStart),
  };
}

describe('the trace of a job', () => {
  test('has its attempt as a part of what sent it, and its steps as parts of that, one after the other', async () => {
    const traceId = '1'.repeat(32);
    const { attempts, stepsOf } = await traceOf(await submitTraced(service.store, traceId), traceId);
    const [attempt] = attempts;
    assert.equal(attempts.length, 1);
    assert.deepEqual([attempt!.parentSpanId, attempt!.links, attempt!.kind], [SENDER, [SENDER], 5]);
    assert.equal(attempt!.isError, false);
    const steps = stepsOf(attempt!);
    assert.deepEqual(
      steps.map(({ name }) => name),
      STEPS,
    );
    let { startNs } = attempt!;
    for (const step of steps) {
      assert.ok(startNs <= step.startNs + CLOCK_NS && step.startNs <= step.endNs, step.name);
      startNs = step.endNs;
    }
    assert.ok(startNs <= attempt!.endNs + CLOCK_NS);
  });

  test('has an attempt whose process was killed beside the one that goes on', async () => {
    const store = watchPhases(service.store, ({ attempt }, phase) => {
      if (attempt === 1 && phase === 'quantize') for (const pid of engineProcesses()) process.kill(pid, 'SIGKILL');
    });
    const traceId = '2'.repeat(32);
    const { attempts, stepsOf } = await traceOf(await submitTraced(service.store, traceId), traceId, store);
    assert.deepEqual(
      attempts.map(({ attributes, parentSpanId, isError }) => [
        attributes['tritforge.job.attempt'],
        attributes['tritforge.job.outcome'],
        attributes['error.type'],
        parentSpanId,
        isError,
      ]),
      [
        [1, 'retried', 'JOB_CRASHED', SENDER, true],
        [2, 'succeeded', undefined, SENDER, false],
      ],
    );
    const [killed, next] = attempts.map(stepsOf);
    const last = killed!.at(-1)!;
    assert.ok(STEPS.includes(last.name) && last.name !== 'publish');
    assert.deepEqual([last.isError, last.attributes['error.type']], [true, 'JOB_CRASHED']);
    assert.ok(killed!.slice(0, -1).every(({ isError }) => !isError));
    assert.deepEqual(
      next!.map(({ name }) => name),
      STEPS,
    );
  });

  test('has what a worker that was killed had ended, and the attempt of another worker', async () => {
    const traceId = '3'.repeat(32);
    // The delivery of the dead stays locked for a while; on a queue of its own it is in nobody's way.
    const storeConfig = { ...service.storeConfig, queuePrefix: 'dying' };
    const { otlpEndpoint, otlpProtocol } = readConfig(process.env);
    const config = { ...service.config, otlpEndpoint, otlpProtocol };
    const options: DyingWorkerOptions = { storeConfig, config, dieAt: 'publish' };
    const dyingStore = await openStore(storeConfig);
    const id = await submitTraced(dyingStore, traceId);
    await once(spawn(process.execPath, [DYING_WORKER, JSON.stringify(options)], { stdio: 'ignore' }), 'exit');
    await dyingStore.close();
    const { attempts } = await traceOf(id, traceId);
    assert.deepEqual(
      attempts.map(({ attributes }) => attributes['tritforge.job.attempt']),
      [2],
    );
    const ofKilled = collector.spans.filter(
      (span) => span.traceId === traceId && span.attributes['tritforge.job.attempt'] === 1,
    );
    assert.ok(ofKilled.some(({ name }) => name === 'fetchInputs'));
    assert.ok(!ofKilled.some(({ name }) => name === 'process jobs'));
  });
});
