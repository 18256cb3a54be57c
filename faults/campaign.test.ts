/** A short campaign with every kind of fault that does not last long, so that the campaign itself works. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runCampaign } from './campaign.js';
import { FAULT_KINDS, kindsFor } from './fault-kinds.js';
import type { RoundResult } from './round.js';

/** Others are waited for too long. */
const LONGEST_FAULT_MS = 6_000;
const BACKENDS = { storage: 'folder', queue: 'postgres' } as const;
const missing =
  (process.platform !== 'linux' && 'the campaign needs Linux') ||
  (spawnSync('prlimit', ['--version']).status !== 0 && 'there is no prlimit here');

const LIMITS = { skip: missing, timeout: 180_000 };

test('a service takes faults of every short kind, and is as if nothing had been', LIMITS, async () => {
  const kinds = kindsFor(BACKENDS).filter((kind) => FAULT_KINDS[kind].lastsMs[1] <= LONGEST_FAULT_MS);
  const results: RoundResult[] = [];
  // As many at once as there are, so that waiting for leases is done once.
  const sizes = { minFaults: kinds.length, maxFaults: kinds.length, tasks: 2 };
  await runCampaign({ ...BACKENDS, seed: 1, rounds: [1], only: kinds, sizes }, (result) => results.push(result));
  assert.deepEqual(
    results.flatMap(({ wrong }) => wrong),
    [],
  );
  assert.deepEqual(results.flatMap(({ faults }) => faults.map(({ plan }) => plan.kind)).sort(), [...kinds].sort());
});

test('a kind of fault that needs another backend is refused by name', async () => {
  const sizes = { minFaults: 1, maxFaults: 1, tasks: 1 };
  const options = { ...BACKENDS, seed: 1, rounds: [1], only: ['kill-redis'], sizes } as const;
  await assert.rejects(
    runCampaign(options, () => {}),
    /kill-redis needs other backends/,
  );
});
