import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FaultKind } from './fault-kinds.js';
import { campaignPage, roundLine } from './page.js';
import { noAttempts } from './pipeline/blind-client.js';
import type { DoneFault, RoundResult } from './round.js';

const fault = (kind: FaultKind, way = 'once'): DoneFault => ({
  plan: { kind, way, moment: { afterMs: 0 }, victim: 0, forMs: 1 },
  moment: 'at quantize',
});
const JOBS = [
  { state: 'succeeded', code: null, attempts: 3 },
  { state: 'failed', code: 'JOB_CRASHED', attempts: 3 },
] as const;

function result(round: number, faults: readonly DoneFault[], durationMs: number, wrong: string[] = []): RoundResult {
  const attempts = { ...noAttempts(), again: 5, failures: new Map([['no answer', 5]]) };
  return { round, faults, jobs: JOBS, attempts, durationMs, wrong };
}

const BACKENDS = { queue: 'redis', storage: 'folder' } as const;

test('a page counts each round for every kind of fault that it had', () => {
  const rounds = [
    result(1, [fault('kill-api')], 1000),
    result(2, [fault('kill-api'), fault('cut-redis', 'silent')], 9000),
  ];
  const page = campaignPage(rounds, 'npm run faults', BACKENDS);
  assert.match(page, /^\| `kill-api` \| .+ \| 2 \| 4 \| 2 \| 0 \| 0 \| 2 \| 8 \| 10 \| 9\.0 \| 9\.0 \|$/m);
  assert.match(page, /^\| `cut-redis` \| .+ \| 1 \| 2 \| 1 \| 0 \| 0 \| 1 \| 4 \| 5 \| 9\.0 \| 9\.0 \|$/m);
  assert.match(page, /^\| all \| {2}\| 2 \| 4 \|/m);
  assert.ok(!page.includes('kill-worker'));
  assert.match(page, /All of it holds in all 2 rounds/);
  assert.match(page, /error: JOB_CRASHED 2\. .+: no answer 10\./);
});

test('a page says what does not hold, and in which round', () => {
  const page = campaignPage([result(7, [fault('kill-api')], 1000, ['job x is lost'])], 'npm run faults', BACKENDS);
  assert.match(page, /\*\*NOT in these 1 rounds:\*\*/);
  assert.match(page, /^- round 7: job x is lost$/m);
});

test('the line of a round has its faults, what became of its jobs, and how long the others will take', () => {
  const round = result(7, [fault('kill-api'), fault('cut-redis', 'silent')], 12_345);
  assert.equal(
    roundLine(round, 200, 61_000),
    'round   7/200  ok  12.3 s  kill-api at quantize, cut-redis (silent) at quantize  2 jobs: 1 succeeded, 1 failed  ' +
      '2 min left',
  );
});
