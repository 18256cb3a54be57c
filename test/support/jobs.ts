import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type Job } from '@tritforge/contracts';
import { expectJson, type FormEntries, form } from './http.js';
import type { Stack } from './stack.js';

/** A service that answers. */
type Service = Pick<Stack, 'fetch'>;

/** Starts a job by a form. */
export async function startJob(stack: Service, entries: FormEntries): Promise<Job> {
  return expectJson<Job>(await stack.fetch('/jobs', form(entries)), 202);
}

/** Looks at a job until `isReached` holds. */
export async function jobWhen(
  stack: Service,
  id: string,
  isReached: (job: Job) => boolean,
  timeoutMs = 60_000,
): Promise<Job> {
  const giveUpMs = Date.now() + timeoutMs;
  for (;;) {
    const job = await expectJson<Job>(await stack.fetch(`/jobs/${id}`), 200);
    if (isReached(job)) return job;
    assert.ok(Date.now() < giveUpMs, `the job is still ${job.state} in ${job.phase} after ${timeoutMs} ms`);
    assert.ok(!isTerminal(job.state), `the job ended as ${job.state}: ${JSON.stringify(job.error)}`);
    await sleep(50);
  }
}

/** Waits for the end of a job. */
export const jobEnd = (stack: Service, id: string, timeoutMs?: number): Promise<Job> =>
  jobWhen(stack, id, ({ state }) => isTerminal(state), timeoutMs);

/** Cancels a job, and makes sure that its process is gone after so many milliseconds. */
export async function cancelWithin(stack: Stack, id: string, limitMs: number): Promise<Job> {
  const startedMs = Date.now();
  const job = await expectJson<Job>(await stack.fetch(`/jobs/${id}/cancel`, { method: 'POST' }), 200);
  assert.equal(job.state, 'canceled');
  while (await stack.hasRunningTask()) {
    assert.ok(Date.now() - startedMs < limitMs, `its process still runs after ${limitMs} ms`);
    await sleep(20);
  }
  return job;
}
