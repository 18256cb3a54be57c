import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../runtime/runtime.js';
import { compareLatency, cpuName } from './latency.js';

/** A session that takes a known time and writes down when it ran. */
function timed(name: string, milliseconds: number, log: string[]) {
  const session: Session = {
    inputs: [],
    outputs: [],
    async run() {
      log.push(name);
      const end = performance.now() + milliseconds;
      while (performance.now() < end);
      return new Map();
    },
    async release() {},
  };
  return { name, session, feeds: new Map() };
}

test('models take turns; the order rotates from round to round and turns around', async () => {
  const log: string[] = [];
  const contestants = ['a', 'b', 'c'].map((name) => timed(name, 0, log));
  const { runs } = await compareLatency(contestants, { warmupRounds: 1, maxRounds: 7 });
  assert.equal(runs, 7);
  assert.equal(log.join(''), 'abc' + 'abcbcacab' + 'cbaacbbac' + 'abc');
});

test('the median of each model is the time it takes', async () => {
  const contestants = [timed('quick', 1, []), timed('slow', 4, [])];
  const { results } = await compareLatency(contestants, { maxRounds: 9 });
  const [quick, slow] = [results.get('quick')!, results.get('slow')!];
  assert.ok(quick.medianMs >= 1 && quick.medianMs < slow.medianMs);
  assert.ok(slow.medianMs >= 4);
  assert.ok(slow.lowerQuartileMs <= slow.medianMs && slow.medianMs <= slow.upperQuartileMs);
});

test('no round begins after the time is up, but the least number of rounds is done', async () => {
  const contestants = [timed('a', 2, [])];
  assert.equal((await compareLatency(contestants, { budgetMs: 0, minRounds: 2 })).runs, 2);
  const { runs } = await compareLatency(contestants, { budgetMs: 20, maxRounds: 1000 });
  assert.ok(runs >= 3 && runs <= 11, `${runs} rounds of 2 ms in 20 ms`);
});

test('a model that is slow against the budget is warmed up once', async () => {
  const log: string[] = [];
  await compareLatency([timed('a', 10, log)], { budgetMs: 10, minRounds: 1 });
  assert.equal(log.length, 2);
});

test('cancellation stops between two runs', async () => {
  const log: string[] = [];
  await assert.rejects(compareLatency([timed('a', 0, log)], { signal: AbortSignal.abort() }), { code: 'CANCELED' });
  assert.deepEqual(log, []);
});

test('the processor has a name', () => {
  assert.ok(cpuName().length > 0);
});
