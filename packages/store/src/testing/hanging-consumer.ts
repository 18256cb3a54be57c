/** A worker process for tests that kill it: takes deliveries, prints their job ids and never finishes. */
import type { QueueConfig } from '../queue/backend.js';
import { openQueue } from '../queue/bull-queue.js';

const config = JSON.parse(process.argv[2] ?? '{}') as QueueConfig;
const queue = await openQueue(config);
await queue.consume({
  concurrency: 1,
  handler: (jobId) => {
    process.stdout.write(`${jobId}\n`);
    return new Promise(() => {});
  },
});
