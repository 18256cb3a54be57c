import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readSettings, SHARED_SETTINGS } from './settings.js';
import { storeConfigOf } from './store-config.js';

const read = (env: Readonly<Record<string, string>>) =>
  storeConfigOf(
    readSettings(SHARED_SETTINGS, { DATABASE_URL: 'postgres://localhost/x', TRITFORGE_DATA_DIR: '/srv/data', ...env }),
  );

describe('the configuration of the store', () => {
  test('keeps files in the data folder unless a bucket is named', () => {
    const { blobDir, s3 } = read({});
    assert.deepEqual([blobDir, s3], ['/srv/data/blobs', null]);
  });

  test('takes a bucket with all that is said of it', () => {
    const { s3 } = read({
      TRITFORGE_S3_BUCKET: 'models',
      TRITFORGE_S3_PREFIX: 'team/tritforge',
      TRITFORGE_S3_ENDPOINT: 'https://storage.example.com',
      TRITFORGE_S3_REGION: 'eu-central-1',
      TRITFORGE_S3_ADDRESSING: 'virtual',
    });
    assert.deepEqual(s3, {
      bucket: 'models',
      prefix: 'team/tritforge/',
      publicEndpoint: null,
      endpoint: 'https://storage.example.com',
      region: 'eu-central-1',
      addressing: 'virtual',
    });
    const reached = (by: string) =>
      read({ TRITFORGE_S3_BUCKET: 'models', TRITFORGE_S3_PUBLIC_ENDPOINT: by }).s3?.publicEndpoint;
    assert.equal(reached('https://bucket.example.com'), 'https://bucket.example.com');
    assert.equal(reached('none'), 'none');
    assert.throws(() => reached('bucket.example.com'), /TRITFORGE_S3_PUBLIC_ENDPOINT .* must be a URL/);
    assert.equal(read({ TRITFORGE_S3_BUCKET: 'models', TRITFORGE_S3_PREFIX: 'a/' }).s3?.prefix, 'a/');
    assert.equal(read({ TRITFORGE_S3_BUCKET: 'models' }).s3?.prefix, '');
  });

  test('reaches sources in the same way, and never those where the service stores files', () => {
    const { sources, s3 } = read({
      TRITFORGE_SOURCES: 's3://models/nets',
      TRITFORGE_S3_ENDPOINT: 'http://localhost:9000',
    });
    assert.equal(s3, null);
    assert.deepEqual(sources, {
      allowed: [{ bucket: 'models', prefix: 'nets/' }],
      forbidden: [],
      connection: { endpoint: 'http://localhost:9000', region: null, addressing: 'auto' },
    });
    const own = read({ TRITFORGE_S3_BUCKET: 'models', TRITFORGE_S3_PREFIX: 'own' });
    const [{ bucket, prefix } = { bucket: '', prefix: '' }] = own.sources?.forbidden ?? [];
    assert.deepEqual([bucket, prefix], ['models', 'own/']);
  });

  test('names what is missing', () => {
    assert.throws(() => read({ DATABASE_URL: '' }), /DATABASE_URL is not set/);
    assert.throws(
      () => read({ TRITFORGE_S3_PREFIX: 'team' }),
      /TRITFORGE_S3_PREFIX is set and TRITFORGE_S3_BUCKET is not/,
    );
    assert.throws(
      () => read({ TRITFORGE_S3_PUBLIC_ENDPOINT: 'none' }),
      /TRITFORGE_S3_PUBLIC_ENDPOINT is set and TRITFORGE_S3_BUCKET is not/,
    );
  });

  test('refuses buckets and prefixes that cannot be', () => {
    for (const bucket of ['s3://models', 'models/team', 'x']) {
      assert.throws(() => read({ TRITFORGE_S3_BUCKET: bucket }), /must be the name of a bucket/, bucket);
    }
    for (const prefix of ['/team', 'team//x', '../x', 'team/./x', 'team\n', '/', 'x'.repeat(600)]) {
      const env = { TRITFORGE_S3_BUCKET: 'models', TRITFORGE_S3_PREFIX: prefix };
      assert.throws(() => read(env), /TRITFORGE_S3_PREFIX .* must be folders between slashes/s, prefix);
    }
  });
});
