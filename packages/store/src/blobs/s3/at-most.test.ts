import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost } from './at-most.js';

test('work runs in its order, so many pieces at once, also when some fail', async () => {
  const inTurn = atMost(2);
  const started: number[] = [];
  let running = 0;
  let most = 0;
  const work = (id: number) => async () => {
    started.push(id);
    most = Math.max(most, ++running);
    await sleep(2);
    running--;
    if (id % 3 === 0) throw new Error(`failed ${id}`);
    return id;
  };
  const ids = Array.from({ length: 9 }, (_, id) => id);
  const results = await Promise.allSettled(ids.map((id) => inTurn(work(id))));
  assert.equal(most, 2);
  assert.deepEqual(started, ids);
  assert.deepEqual(
    results.map(({ status }) => status),
    ids.map((id) => (id % 3 === 0 ? 'rejected' : 'fulfilled')),
  );
  assert.equal(await inTurn(work(10)), 10);
});
