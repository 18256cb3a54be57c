import assert from 'node:assert/strict';
import { test } from 'node:test';
import { servicePage } from './page.js';
import type { JobFate, Measured, RateRow, ServiceRow, SoakRow } from './rows.js';

const latencies = { p50Ms: 4.06, p99Ms: 20.11, maxMs: 31 };
const answers = { answered: 500, seconds: 10, latencies, failures: {}, warmUpFailures: {} };
const jobs: JobFate = { accepted: 3, states: { succeeded: 1, canceled: 2 }, lost: 0 };
const row = (measured: Measured): ServiceRow => ({
  ...measured,
  cpu: 'a processor',
  cores: 2,
  node: 'v20',
  commit: 'abc1234',
  load: 1.5,
});
const rate: RateRow = { part: 'rate', queue: 'Redis', apis: 1, workers: 0, perSecond: 200, ...answers, jobs };
const soak: SoakRow = {
  part: 'soak',
  minutes: 20,
  pipelines: 3,
  downloads: 3,
  polls: 100,
  streams: 1,
  deleted: 1,
  problems: [],
  pollLatencies: latencies,
  samples: Array.from({ length: 60 }, (_, i) => {
    // Grows by 36 MB in an hour once it is two minutes old.
    const bytes = 100e6 + (i < 12 ? -i * 1e6 : i * 1e5);
    return { seconds: i * 10, api: bytes, worker: 50e6, postgres: 80e6 };
  }),
  jobs,
};

const linesWith = (page: string, text: string) => page.split('\n').filter((line) => line.includes(text));

test('every load has its line, and goals that were missed say so', () => {
  const page = servicePage([
    row({ part: 'saturation', request: 'status polls', apis: 4, workers: 1, connections: 16, ...answers, jobs: null }),
    row(rate),
    row({ ...rate, workers: 1, warmUpFailures: { ECONNRESET: 3 } }),
    row({ ...rate, queue: 'PostgreSQL', perSecond: 50, latencies: { ...latencies, p99Ms: 51 } }),
    row({ ...rate, apis: 4, failures: { '503 SERVICE_OVERLOADED': 2 } }),
    row({ part: 'queue', step: 'status polls', waiting: 10_000, ...answers, jobs: null }),
  ]);
  assert.deepEqual(linesWith(page, '| status polls |'), [
    '| status polls | 4 | 1 | 50 | 4.1 | 20.1 | 31.0 | none |  |',
    '| status polls | 10000 | 500 | 50.0 | 4.1 | 20.1 | 31.0 | none |  |',
  ]);
  const fate = '3 accepted: 1 succeeded, 2 canceled; none lost';
  assert.deepEqual(
    [...linesWith(page, '| Redis |'), ...linesWith(page, '| PostgreSQL |')],
    [
      `| Redis | 1 | 0 | 200 | 4.1 | 20.1 | 31.0 | none | kept | ${fate} |`,
      `| Redis | 1 | 1 | 200 | 4.1 | 20.1 | 31.0 | none (before: 3 × ECONNRESET) | kept | ${fate} |`,
      `| Redis | 4 | 0 | 200 | 4.1 | 20.1 | 31.0 | 2 × 503 SERVICE_OVERLOADED | MISSED | ${fate} |`,
      `| PostgreSQL | 1 | 0 | 50 | 4.1 | 51.0 | 31.0 | none | MISSED | ${fate} |`,
    ],
  );
});

test('a load that was measured again has its newest row', () => {
  const again = { ...rate, latencies: { ...latencies, maxMs: 77 } };
  assert.equal(linesWith(servicePage([row(rate), row(again)]), '| Redis |').length, 1);
  assert.match(servicePage([row(rate), row(again)]), /\| 77\.0 \|/);
});

test('streams and jobs that lost something say so', () => {
  const apiBytes = { before: 90e6, open: 120e6, most: 130e6 };
  const streams = {
    part: 'streams',
    projectStreams: 250,
    jobStreams: 250,
    received: 900,
    delays: latencies,
    apiBytes,
  } as const;
  assert.match(
    servicePage([row({ ...streams, jobs, wrongStreams: 0 })]),
    /each of the 500 streams got exactly those of the log/,
  );
  const lost = servicePage([row({ ...streams, jobs: { ...jobs, lost: 1 }, wrongStreams: 7 })]);
  assert.match(lost, /7 of the 500 streams did NOT get those of the log/);
  assert.match(lost, /1 LOST/);
});

test('memory has its slope from the third minute on, and problems are listed', () => {
  const page = servicePage([row({ ...soak, problems: ['pipeline 2: it broke'] })]);
  assert.deepEqual(linesWith(page, '| API |'), ['| API | 101.2 | 105.9 | 101.2–105.9 | 36.0 ± 0.0 |']);
  assert.match(page, /- pipeline 2: it broke/);
  const short = servicePage([row({ ...soak, samples: soak.samples.slice(0, 14) })]);
  assert.match(short, /\| API \| {2}\| {2}\| {2}\| too short \|/);
});
