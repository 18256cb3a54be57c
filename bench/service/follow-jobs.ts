/** Reads many streams of events at once, in a process of its own. */
import { Agent } from 'node:http';
import { latenciesOf } from './latencies.js';
import { makeLoad } from './load-process.js';
import { openStream } from './stream-reader.js';
import type { StreamsPlan, StreamsResult } from './streams-plan.js';

await makeLoad(async ({ url, headers, paths }: StreamsPlan, { stopped, ready }): Promise<StreamsResult> => {
  const agent = new Agent();
  const streams = [];
  for (const path of paths) streams.push(await openStream(agent, url, path, headers));
  const openMs = Date.now();
  ready();
  await new Promise<void>((resolve) => stopped.addEventListener('abort', () => resolve()));
  for (const { close } of streams) close();
  // What was written before all streams were there is no measure of how long it takes.
  const late = streams.flatMap(({ events }) => events.filter(({ writtenMs }) => writtenMs > openMs));
  return {
    delays: latenciesOf(late.map(({ writtenMs, arrivedMs }) => arrivedMs - writtenMs)),
    eventIds: streams.map(({ events }) => events.map(({ id }) => id)),
  };
});
