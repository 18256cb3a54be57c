import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readConfig, SETTINGS } from './config.js';

describe('the configuration of the worker', () => {
  test('runs one job at a time, within the memory of the machine, unless told otherwise', () => {
    const { concurrency, jobMemoryBytes, databaseUrl } = readConfig({});
    assert.equal(concurrency, 1);
    assert.ok(jobMemoryBytes > 2 ** 27);
    assert.equal(databaseUrl, null);
    assert.equal(readConfig({ TRITFORGE_JOB_MEMORY_BYTES: '1000000000' }).jobMemoryBytes, 1e9);
  });

  test('refuses numbers out of range by name', () => {
    assert.throws(() => readConfig({ TRITFORGE_WORKER_CONCURRENCY: '0' }), /TRITFORGE_WORKER_CONCURRENCY is "0"/);
    assert.throws(() => readConfig({ TRITFORGE_JOB_SECONDS: '1e9' }), /TRITFORGE_JOB_SECONDS is "1e9"/);
    assert.throws(() => readConfig({ TRITFORGE_JOB_LEASE_SECONDS: '1' }), /an integer from 2 to 3600/);
  });

  test('says what each variable means', () => {
    for (const { env, meaning } of Object.values(SETTINGS)) assert.match(`${env}: ${meaning}`, /^[A-Z0-9_]+: .+\.$/);
  });
});
