import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadRequest, send } from './load-request.js';
import { LoadCounts, type LoadResult } from './load-result.js';

/**
 * So many requests a second, whether earlier ones are answered or not. Latencies count from when a request was to be sent, so that a
 * service that stands still pays for every request of that time.
 */
export interface OpenLoad {
  readonly kind: 'open';
  /** Requests go to them in turn. */
  readonly urls: readonly string[];
  /** Sent in turn. */
  readonly requests: readonly LoadRequest[];
  readonly perSecond: number;
  readonly seconds: number;
  /** How long requests are sent before those that count. */
  readonly warmUpSeconds: number;
}

export async function openLoop(load: OpenLoad): Promise<LoadResult> {
  const { urls, requests, perSecond, seconds, warmUpSeconds } = load;
  const counts = new LoadCounts();
  const run = randomUUID();
  const agent = new Agent({ keepAlive: true });
  const startMs = performance.now();
  const countedMs = startMs + warmUpSeconds * 1000;
  const total = Math.round((warmUpSeconds + seconds) * perSecond);
  const sendOne = async (number: number, dueMs: number): Promise<void> => {
    const request = requests[number % requests.length]!;
    const answer = await send(agent, urls[number % urls.length]!, request, `${run}-${number}`);
    if (dueMs < countedMs) counts.noteWarmUp(answer);
    else counts.note(answer, performance.now() - dueMs);
  };
  const running: Promise<void>[] = [];
  while (running.length < total) {
    const dueMs = startMs + (running.length * 1000) / perSecond;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    else running.push(sendOne(running.length, dueMs));
  }
  await Promise.all(running);
  agent.destroy();
  return counts.result(seconds);
}
