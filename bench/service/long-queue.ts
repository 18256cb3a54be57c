/** How the service behaves while thousands of jobs wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openStore } from '@tritforge/store';
import { latenciesOf } from './latencies.js';
import type { LoadRequest } from './load-request.js';
import { cancellations, look, uploadMaterial } from './material.js';
import { type Answers, answersOf, type QueueRow } from './rows.js';
import { runLoad } from './run-load.js';
import { fateOf, query, type RunningService, withService } from './running-service.js';

const CONNECTIONS = 8;
const WARM_UP_SECONDS = 2;
/** The queue is filled in so many steps, each a row of its own. */
const STEPS = 4;
/** Requests a second while the queue is full. */
const RATES = { looks: 50, lists: 10, submissions: 50 } as const;
/** Status polls ask for so many different jobs. */
const POLLED = 500;
const CLAIMS = 100;

/** @param onRow hears of each row when it is there */
export async function measureLongQueue(
  jobs: number,
  seconds: number,
  onRow: (row: QueueRow) => Promise<void>,
): Promise<void> {
  await withService({}, async (service) => {
    const { submissions } = await uploadMaterial(service);
    const accepted: string[] = [];
    const row = async (step: string, work: () => Promise<Answers>, countJobs = false): Promise<void> => {
      const waiting = await countWaiting(service);
      const answers = await work();
      await onRow({
        part: 'queue',
        step,
        waiting,
        ...answers,
        jobs: countJobs ? await fateOf(service, accepted) : null,
      });
    };
    const load = async (requests: readonly LoadRequest[], perSecond: number | null): Promise<Answers> => {
      const { urls } = service;
      const open = { kind: 'open', seconds, warmUpSeconds: WARM_UP_SECONDS } as const;
      const closed = { kind: 'closed', connections: CONNECTIONS, during: 'once' } as const;
      const result = await runLoad({ urls, requests, ...(perSecond === null ? closed : { ...open, perSecond }) });
      accepted.push(...result.jobIds);
      return answersOf(result);
    };
    for (let step = 1; step <= STEPS; step++) {
      const requests = Array.from({ length: Math.ceil(jobs / STEPS) }, (_, i) => submissions[i % submissions.length]!);
      await row(`filling the queue, part ${step} of ${STEPS}`, () => load(requests, null));
    }
    const stride = Math.max(1, Math.floor(accepted.length / POLLED));
    const polls = accepted.filter((_, i) => i % stride === 0).map((id) => look(service, `/jobs/${id}`));
    await row(`status polls, ${RATES.looks} per second`, () => load(polls, RATES.looks));
    const list = [look(service, '/jobs?limit=50&state=queued')];
    await row(`lists of 50 queued jobs, ${RATES.lists} per second`, () => load(list, RATES.lists));
    await row(`submissions, ${RATES.submissions} per second`, () => load(submissions, RATES.submissions));
    await row('claims by a worker, one after the other', () => claimAndHandBack(service));
    service.stack.startWorker();
    await sleep(seconds * 1000);
    const cancels = cancellations(service, accepted);
    await row('cancelling all of them while a worker runs what it can', () => load(cancels, null), true);
  });
}

async function countWaiting(service: RunningService): Promise<number> {
  const rows = await query<{ count: number }>(
    service,
    `SELECT count(*)::int AS count FROM jobs WHERE state = 'queued'`,
  );
  return rows[0]!.count;
}

/** Claims jobs as a worker does, and hands each back. */
async function claimAndHandBack({ stack }: RunningService): Promise<Answers> {
  const store = await openStore(stack.storeConfig);
  try {
    const samplesMs: number[] = [];
    const startMs = performance.now();
    for (let i = 0; i < CLAIMS; i++) {
      const claimMs = performance.now();
      const claim = await store.jobs.claimNext({ id: 'benchmark', engineVersion: 'benchmark' });
      samplesMs.push(performance.now() - claimMs);
      if (claim === null || !(await store.jobs.release(claim)))
        throw new Error('a job could not be claimed and handed back');
    }
    const seconds = (performance.now() - startMs) / 1000;
    return { answered: samplesMs.length, seconds, latencies: latenciesOf(samplesMs), failures: {}, warmUpFailures: {} };
  } finally {
    await store.close();
  }
}
