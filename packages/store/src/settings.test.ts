import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readSettings, SHARED_SETTINGS } from './settings.js';

const read = (env: Readonly<Record<string, string>>) => readSettings(SHARED_SETTINGS, env);

describe('settings', () => {
  test('take their defaults when a variable is unset or empty', () => {
    assert.equal(read({}).logLevel, 'info');
    assert.equal(read({ REDIS_URL: '' }).redisUrl, null);
  });

  test('take what the environment says', () => {
    const { databaseUrl, dataDir } = read({ DATABASE_URL: 'postgres://localhost/x', TRITFORGE_DATA_DIR: '/srv/data' });
    assert.deepEqual([databaseUrl, dataDir], ['postgres://localhost/x', '/srv/data']);
  });

  test('say which variable is wrong and what would be right', () => {
    assert.throws(() => read({ REDIS_URL: 'localhost:6379' }), {
      message: 'REDIS_URL is "localhost:6379" and must be a URL that starts with redis:// or rediss://',
    });
    assert.throws(
      () => read({ TRITFORGE_LOG_LEVEL: 'loud' }),
      /TRITFORGE_LOG_LEVEL is "loud" and must be one of fatal/,
    );
  });
});
