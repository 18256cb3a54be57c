import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig, SETTINGS } from './config.js';

test('without variables every setting has its default', () => {
  const config = readConfig({});
  for (const [key, { fallback }] of Object.entries(SETTINGS))
    assert.equal(config[key as keyof typeof config], fallback);
});

test('variables are read in the type of their setting, empty ones as unset', () => {
  const config = readConfig({ TRITFORGE_PORT: '0', TRITFORGE_HOST: '', REDIS_URL: 'redis://queue:6379' });
  assert.equal(config.port, 0);
  assert.equal(config.host, SETTINGS.host.fallback);
  assert.equal(config.redisUrl, 'redis://queue:6379');
});

test('a variable that does not fit is named with what would', () => {
  assert.throws(() => readConfig({ TRITFORGE_PORT: '80a' }), /TRITFORGE_PORT is "80a" and must be an integer from 0/);
  assert.throws(() => readConfig({ TRITFORGE_PORT: '70000' }), /to 65535/);
  assert.throws(() => readConfig({ DATABASE_URL: 'mysql://x' }), /DATABASE_URL must .* postgres:\/\//);
  assert.throws(() => readConfig({ TRITFORGE_LOG_LEVEL: 'loud' }), /one of fatal, error/);
});
