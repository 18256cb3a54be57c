import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PassedChecks } from './passed-checks.js';

const never = new AbortController().signal;

/** A check that counts how often it is made. */
function counted(outcome: () => Promise<void> = async () => {}) {
  const counts = { made: 0 };
  const check = () => {
    counts.made++;
    return outcome();
  };
  return { counts, check };
}

test('what has passed is not checked again, whatever the order of its fields', async () => {
  const checks = new PassedChecks(10);
  const { counts, check } = counted();
  await checks.pass({ digest: 'a', preprocess: { scale: 1, mean: [0] } }, never, check);
  await checks.pass({ preprocess: { mean: [0], scale: 1 }, digest: 'a' }, never, check);
  assert.equal(counts.made, 1);
  await checks.pass({ preprocess: null, digest: 'a' }, never, check);
  assert.equal(counts.made, 2);
});

test('what has failed is checked again', async () => {
  const checks = new PassedChecks(10);
  const { counts, check } = counted(async () => {
    if (counts.made === 1) throw new Error('does not fit');
  });
  await assert.rejects(checks.pass('a', never, check), /does not fit/);
  await checks.pass('a', never, check);
  assert.equal(counts.made, 2);
});

test('those who need the same check at once share it, also when it fails', async () => {
  const checks = new PassedChecks(10);
  const good = counted();
  await Promise.all(Array.from({ length: 5 }, () => checks.pass('good', never, good.check)));
  const bad = counted(() => Promise.reject(new Error('does not fit')));
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => checks.pass('bad', never, bad.check)));
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  assert.deepEqual([good.counts.made, bad.counts.made], [1, 1]);
});

test('a check whose client leaves is done again for those who are there', async () => {
  const checks = new PassedChecks(10);
  const client = new AbortController();
  const { counts, check } = counted(
    () => new Promise((_, reject) => client.signal.addEventListener('abort', () => reject(client.signal.reason))),
  );
  const left = checks.pass('a', client.signal, check);
  const stays = counted();
  const stayed = checks.pass('a', never, stays.check);
  client.abort(new Error('gone'));
  await assert.rejects(left, /gone/);
  await stayed;
  assert.deepEqual([counts.made, stays.counts.made], [1, 1]);
});

test('what nobody asked for longest is forgotten', async () => {
  const checks = new PassedChecks(2);
  const { counts, check } = counted();
  for (const name of ['a', 'b', 'a', 'c', 'a']) await checks.pass(name, never, check);
  assert.equal(counts.made, 3);
  await checks.pass('b', never, check);
  assert.equal(counts.made, 4);
});
