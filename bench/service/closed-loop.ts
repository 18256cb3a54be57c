import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { type LoadRequest, send } from './load-request.js';
import { LoadCounts, type LoadResult } from './load-result.js';

/** As many requests as a number of connections can send, each of which waits for its answer before it sends the next one. */
export interface ClosedLoad {
  readonly kind: 'closed';
  /** Connections are shared out over them in turn. */
  readonly urls: readonly string[];
  /** Sent in turn. */
  readonly requests: readonly LoadRequest[];
  readonly connections: number;
  /** The time that counts, and how long requests are sent before it; or each request once. */
  readonly during: { readonly seconds: number; readonly warmUpSeconds: number } | 'once';
}

export async function closedLoop({ urls, requests, connections, during }: ClosedLoad): Promise<LoadResult> {
  const counts = new LoadCounts();
  const run = randomUUID();
  const startMs = performance.now();
  const countedMs = startMs + (during === 'once' ? 0 : during.warmUpSeconds * 1000);
  const endMs = during === 'once' ? Number.POSITIVE_INFINITY : countedMs + during.seconds * 1000;
  let next = 0;
  const isOver = () => (during === 'once' ? next >= requests.length : performance.now() >= endMs);
  const connection = async (url: string): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isOver()) {
      const number = next++;
      const sentMs = performance.now();
      const answer = await send(agent, url, requests[number % requests.length]!, `${run}-${number}`);
      const answeredMs = performance.now();
      if (answeredMs < countedMs) counts.noteWarmUp(answer);
      else counts.note(answer, answeredMs <= endMs ? answeredMs - sentMs : null);
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: connections }, (_, i) => connection(urls[i % urls.length]!)));
  return counts.result((Math.min(performance.now(), endMs) - countedMs) / 1000);
}
