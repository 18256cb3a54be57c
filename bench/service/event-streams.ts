/** Many streams of events at once while jobs run. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { memoryOf } from '../shared/process-memory.js';
import { startLoad } from './load-process.js';
import { uploadMaterial } from './material.js';
import type { StreamsRow } from './rows.js';
import { runLoad } from './run-load.js';
import { fateOf, query, type RunningService, withKey, withService } from './running-service.js';
import type { StreamsPlan, StreamsResult } from './streams-plan.js';

const SCRIPT = fileURLToPath(new URL('./follow-jobs.js', import.meta.url));
const POLL_MS = 500;
/** What has not ended by then is lost. */
const LONGEST_JOB_MS = 60_000;
/** Long enough for what happened last to arrive. */
const AFTERWARDS_MS = 3000;

/** @param jobs that run meanwhile, one after the other */
export async function measureEventStreams(streams: number, jobs: number): Promise<StreamsRow> {
  return withService({}, async (service) => {
    const { stack, keys } = service;
    const { submissions } = await uploadMaterial(service);
    const requests = Array.from({ length: jobs }, (_, i) => submissions[i % submissions.length]!);
    const { jobIds } = await runLoad({ kind: 'closed', urls: service.urls, requests, connections: 1, during: 'once' });
    const before = apiMemory(service);
    const start = await lastEvent(service);
    const ofJobs = Array.from({ length: Math.floor(streams / 2) }, (_, i) => jobIds[i % jobIds.length]!);
    const ofProject = streams - ofJobs.length;
    const paths = [
      ...ofJobs.map((id) => `/jobs/${id}/events`),
      ...Array.from({ length: ofProject }, () => `/events?after=${start}`),
    ];
    const plan: StreamsPlan = { url: stack.url, headers: withKey(keys[0]!), paths };
    const following = startLoad<StreamsPlan, StreamsResult>(SCRIPT, plan);
    await following.ready;
    const open = apiMemory(service);
    stack.startWorker();
    let most = open;
    const giveUpMs = performance.now() + jobs * LONGEST_JOB_MS;
    while ((await isBusy(service)) && performance.now() < giveUpMs) {
      await sleep(POLL_MS);
      most = Math.max(most, apiMemory(service));
    }
    await sleep(AFTERWARDS_MS);
    following.stop();
    const { delays, eventIds } = await following.result;
    const log = await query<{ sequence: string; job_id: string }>(
      service,
      'SELECT sequence, job_id FROM job_events ORDER BY sequence',
    );
    const wanted = (jobId: string | undefined) =>
      log
        .filter(({ sequence, job_id }) => (jobId === undefined ? Number(sequence) > start : job_id === jobId))
        .map(({ sequence }) => Number(sequence))
        .join();
    return {
      part: 'streams',
      projectStreams: ofProject,
      jobStreams: ofJobs.length,
      jobs: await fateOf(service, jobIds),
      received: eventIds.reduce((sum, ids) => sum + ids.length, 0),
      wrongStreams: eventIds.filter((ids, i) => ids.join() !== wanted(ofJobs[i])).length,
      delays,
      apiBytes: { before, open, most },
    };
  });
}

function apiMemory({ stack }: RunningService): number {
  return memoryOf(stack.api.pid!).residentBytes;
}

/** Place of the newest event that has one. */
async function lastEvent(service: RunningService): Promise<number> {
  const response = await fetch(`${service.stack.url}/events`, { headers: withKey(service.keys[0]!) });
  await response.body?.cancel();
  const rows = await query<{ last: string | null }>(service, 'SELECT max(sequence) AS last FROM job_events');
  return Number(rows[0]!.last ?? 0);
}

async function isBusy(service: RunningService): Promise<boolean> {
  const rows = await query<object>(service, `SELECT 1 FROM jobs WHERE state IN ('queued', 'running') LIMIT 1`);
  return rows.length > 0;
}
