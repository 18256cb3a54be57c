/**
 * Puts load on a service of its own: real processes, PostgreSQL that waits for the disk, Redis where a row says so, HTTP on loopback.
 *
 *     npm run bench -- service [--only saturation,rate,queue,streams,soak] [--seconds 30] [--jobs 10000] [--streams 500]
 *                              [--soak-minutes 20] [--rows FILE] [--write]
 *
 * --seconds is how long each load is measured, and how many jobs run while streams are open. All of it takes about an hour, and wants a
 * machine that does nothing else. Rows are appended to bench/results/service.jsonl (--rows FILE); the page has the newest of each load and
 * with --write becomes bench/results/service.md. Linux only; Redis comes from Debian (scripts/fetch-redis.mjs).
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { appendRow, readRows } from './accuracy/rows.js';
import { measureEventStreams } from './service/event-streams.js';
import { measureRates } from './service/fixed-rate.js';
import { measureLongQueue } from './service/long-queue.js';
import { servicePage } from './service/page.js';
import { type Measured, type ServiceRow, surroundings } from './service/rows.js';
import { measureSaturation } from './service/saturation.js';
import { measureSoak } from './service/soak.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '30' },
    jobs: { type: 'string', default: '10000' },
    streams: { type: 'string', default: '500' },
    'soak-minutes': { type: 'string', default: '20' },
    rows: { type: 'string', default: path.join(RESULTS, 'service.jsonl') },
    write: { type: 'boolean', default: false },
  },
});
const seconds = positive('seconds');

const PARTS: Readonly<Record<Measured['part'], () => Promise<void>>> = {
  saturation: () => measureSaturation(seconds, keep),
  rate: () => measureRates(seconds, keep),
  queue: () => measureLongQueue(positive('jobs'), seconds, keep),
  streams: async () => keep(await measureEventStreams(positive('streams'), Math.ceil(seconds))),
  soak: async () => keep(await measureSoak(positive('soak-minutes'), (sample) => say(JSON.stringify(sample)))),
};

const parts = options.only?.split(',') ?? Object.keys(PARTS);
for (const part of parts)
  if (!Object.hasOwn(PARTS, part)) throw new Error(`--only takes ${Object.keys(PARTS).join(', ')}, and not ${part}`);
for (const part of parts) {
  say(part);
  await PARTS[part as Measured['part']]();
}
const page = servicePage(await readRows<ServiceRow>(options.rows));
if (options.write) await writeFile(path.join(RESULTS, 'service.md'), page);
else process.stdout.write(page);

async function keep(row: Measured): Promise<void> {
  await appendRow(options.rows, { ...row, ...surroundings() });
  const { part, ...rest } = row;
  say(`${part} ${JSON.stringify({ ...rest, samples: undefined })}`);
}

function positive(name: 'seconds' | 'jobs' | 'streams' | 'soak-minutes'): number {
  const value = Number(options[name]);
  if (value > 0) return value;
  throw new Error(`--${name} takes a positive number, and not ${options[name]}`);
}

function say(what: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`);
}
