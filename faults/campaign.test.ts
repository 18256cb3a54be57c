/** A short campaign with every kind of fault, so that the campaign itself works. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runCampaign } from './campaign.js';
import { kindsFor } from './fault-kinds.js';
import type { RoundResult } from './round.js';

const BACKENDS = { storage: 'folder', queue: 'postgres' } as const;
const missing =
  (process.platform !== 'linux' && 'the campaign needs Linux') ||
  (spawnSync('prlimit', ['--version']).status !== 0 && 'there is no prlimit here');

const LIMITS = { skip: missing, timeout: 180_000 };

test('a service takes every kind of fault, and is as if nothing had been', LIMITS, async () => {
  const kinds = kindsFor(BACKENDS);
  const results: RoundResult[] = [];
  // As many at once as there are, so that waiting for leases is done once.
  const sizes = { minFaults: kinds.length, maxFaults: kinds.length, tasks: 4 };
  await runCampaign({ ...BACKENDS, seed: 1, rounds: [1], only: null, sizes }, (result) => results.push(result));
  assert.deepEqual(
    results.flatMap(({ wrong }) => wrong),
    [],
  );
  assert.deepEqual(results.flatMap(({ faults }) => faults.map(({ plan }) => plan.kind)).sort(), [...kinds].sort());
});

test('a kind of fault that needs another backend is refused by name', async () => {
  const sizes = { minFaults: 1, maxFaults: 1, tasks: 1 };
  const options = { ...BACKENDS, seed: 1, rounds: [1], only: 'kill-redis', sizes } as const;
  await assert.rejects(
    runCampaign(options, () => {}),
    /kill-redis needs other backends/,
  );
});
