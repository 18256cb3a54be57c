import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { InspectionQueue } from './inspection-queue.js';

/** Work that runs until it is told to end. */
function work() {
  const state = { started: false, end: () => {} };
  const run = () =>
    new Promise<void>((resolve) => {
      state.started = true;
      state.end = resolve;
    });
  return { state, run };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

test('only so many inspections run at once and the others follow in order', async () => {
  const queue = new InspectionQueue(1, 10);
  const [first, second, third] = [work(), work(), work()];
  const all = [first, second, third].map(({ run }) => queue.run(never, run));
  await turn();
  assert.deepEqual([first.state.started, second.state.started, third.state.started], [true, false, false]);
  first.state.end();
  await turn();
  assert.deepEqual([second.state.started, third.state.started], [true, false]);
  second.state.end();
  await turn();
  third.state.end();
  await Promise.all(all);
});

test('a full line turns work away as overload', async () => {
  const queue = new InspectionQueue(1, 1);
  const [first, second] = [work(), work()];
  const running = [queue.run(never, first.run), queue.run(never, second.run)];
  await assert.rejects(
    queue.run(never, async () => {}),
    (error) => error instanceof TritforgeError && error.code === 'SERVICE_OVERLOADED',
  );
  first.state.end();
  await turn();
  second.state.end();
  await Promise.all(running);
});

test('who gives up leaves the line, and failed work hands its place on', async () => {
  const queue = new InspectionQueue(1, 10);
  const first = work();
  const running = queue.run(never, first.run);
  const leaving = new AbortController();
  const left = queue.run(leaving.signal, async () => 'not reached');
  const failing = queue.run(never, async () => {
    throw new Error('bad file');
  });
  const last = queue.run(never, async () => 'reached');
  leaving.abort(new Error('gone'));
  await assert.rejects(left, /gone/);
  first.state.end();
  await running;
  await assert.rejects(failing, /bad file/);
  assert.equal(await last, 'reached');
});
