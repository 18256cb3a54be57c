import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loggedError, withoutSecrets } from './log-options.js';

const KEY = `tf_${'aB3-_'.repeat(8)}xyz`;

test('keys, secrets of webhooks and passwords in URLs are cut to what names them', () => {
  assert.equal(withoutSecrets(`{"url":"/jobs?key=${KEY}&limit=1"}`), '{"url":"/jobs?key=tf_…&limit=1"}');
  assert.equal(withoutSecrets('{"a":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=="}'), '{"a":"whsec_…"}');
  assert.equal(withoutSecrets('at postgresql://me:p%40ss:w@db:5432/x'), 'at postgresql://me:…@db:5432/x');
  assert.equal(withoutSecrets('rediss://:secret@queue'), 'rediss://:…@queue');
});

test('everything else stays', () => {
  for (const text of [
    'postgresql://db:5432/x',
    'http://127.0.0.1:8080/jobs?at=a@b',
    '{"key":"key_01k9zq3v5w8e6r2t4y7u9i1o3p","prefix":"tf_abc"}',
    'file:///srv/app.js:10:20 a@b',
  ]) {
    assert.equal(withoutSecrets(text), text);
  }
});

test('a line of a stranger takes no longer than others', () => {
  const startedMs = performance.now();
  for (const part of ['a.', 'a://', 'a://b:', 'tf_', 'a-b:c']) withoutSecrets(part.repeat(100_000));
  assert.ok(performance.now() - startedMs < 5000);
});

test('an error is logged with its causes, and without what libraries add to it', () => {
  const refused = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: ['hunter2'] }, code: 'E1' });
  const logged = loggedError(new AggregateError([refused], 'none worked', { cause: refused }));
  const text = JSON.stringify(logged);
  assert.match(text, /^\{"type":"AggregateError","message":"none worked"/);
  assert.match(text, /"cause":\{"type":"Error","code":"E1","message":"WRONGPASS"/);
  assert.match(text, /"errors":\[\{"type":"Error","code":"E1"/);
  assert.doesNotMatch(text, /hunter2/);
  const endless = new Error('again');
  endless.cause = endless;
  assert.ok(JSON.stringify(loggedError(endless)).length < 100_000);
  assert.equal(loggedError('no error').message, 'no error');
});
