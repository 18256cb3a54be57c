import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedLooks } from './shared-looks.js';

/** Looks that end when they are told to, and answer with their number. */
function looks() {
  const ends: (() => void)[] = [];
  const look = () =>
    new Promise<number>((resolve) => {
      const number = ends.length;
      ends.push(() => resolve(number));
    });
  return { ends, look };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('those who ask at once share a look, and others have their own', async () => {
  const shared = new SharedLooks();
  const { ends, look } = looks();
  const asked = ['a', 'a', 'b', 'a'].map((question) => shared.ask(question, look));
  await turn();
  assert.equal(ends.length, 2);
  for (const end of ends) end();
  assert.deepEqual(await Promise.all(asked), [0, 0, 1, 0]);
});

test('who asks while a look goes on gets the answer of the next one', async () => {
  const shared = new SharedLooks();
  const { ends, look } = looks();
  const first = shared.ask('a', look);
  await turn();
  const later = [shared.ask('a', look), shared.ask('a', look)];
  await turn();
  assert.equal(ends.length, 1);
  ends[0]!();
  assert.equal(await first, 0);
  await turn();
  ends[1]!();
  assert.deepEqual(await Promise.all(later), [1, 1]);
  assert.equal(ends.length, 2);
});

test('a look that fails fails for those who share it, and not for those who ask later', async () => {
  const shared = new SharedLooks();
  const failing = [1, 2].map(() => shared.ask('a', () => Promise.reject(new Error('away'))));
  for (const { status } of await Promise.allSettled(failing)) assert.equal(status, 'rejected');
  assert.equal(await shared.ask('a', async () => 'there'), 'there');
});
