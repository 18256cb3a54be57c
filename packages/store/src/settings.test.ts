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
    assert.throws(() => read({ TRITFORGE_S3_BUCKET: 'a/b' }), {
      message: 'TRITFORGE_S3_BUCKET is "a/b" and must be the name of a bucket, without URL and slashes',
    });
    assert.throws(
      () => read({ TRITFORGE_LOG_LEVEL: 'loud' }),
      /TRITFORGE_LOG_LEVEL is "loud" and must be one of fatal/,
    );
  });

  test('do not repeat what may hold a password', () => {
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'TRITFORGE_S3_ENDPOINT']) {
      for (const text of ['user:hunter2@host', 'mysql://user:hunter2@host/x', 'postgres://user:hunter2@host:port/x']) {
        assert.throws(() => read({ [name]: text }), {
          message: new RegExp(`^${name} must be a URL that starts with (?!.*hunter2)`),
        });
      }
    }
  });
});
