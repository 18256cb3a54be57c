import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_KINDS, kindsFor } from './fault-kinds.js';
import { planRound, SIGHTS, SIZES } from './plan.js';

const KINDS = kindsFor({ storage: 's3', queue: 'redis' });
const plans = (seed: number, rounds: number) =>
  Array.from({ length: rounds }, (_, index) => planRound(seed, index + 1, KINDS, SIZES));

test('a seed and a round say all that happens, and other ones something else', () => {
  assert.deepEqual(plans(7, 50), plans(7, 50));
  const texts = [...plans(7, 50), ...plans(8, 50)].map((plan) => JSON.stringify(plan));
  assert.equal(new Set(texts).size, 100);
});

test('every kind of fault comes first equally often', () => {
  const firsts = plans(1, 2 * KINDS.length).map(({ faults }) => faults[0]!.kind);
  for (const kind of KINDS) assert.equal(firsts.filter((first) => first === kind).length, 2, kind);
});

test('over some rounds there is every sight, way, victim and number of faults', () => {
  const faults = plans(1, 200).flatMap((plan) => plan.faults);
  const sights = faults.flatMap(({ moment }) => ('seen' in moment ? [moment.seen] : []));
  assert.deepEqual(new Set(sights), new Set(SIGHTS));
  assert.deepEqual(new Set(faults.map(({ victim }) => victim)), new Set([0, 1, 2, 3]));
  for (const kind of KINDS) {
    const { ways, lastsMs } = FAULT_KINDS[kind];
    const ofKind = faults.filter((fault) => fault.kind === kind);
    assert.deepEqual(new Set(ofKind.map(({ way }) => way)), new Set(ways), kind);
    assert.ok(
      ofKind.every(({ forMs }) => forMs >= lastsMs[0] && forMs < lastsMs[1]),
      kind,
    );
  }
  assert.deepEqual(new Set(plans(1, 200).map((plan) => plan.faults.length)), new Set([1, 2, 3]));
});

test('no fault comes twice in a round', () => {
  for (const { faults } of plans(3, 100)) assert.equal(new Set(faults.map(({ kind }) => kind)).size, faults.length);
});

test('faults of Redis and of a bucket come only where there is one', () => {
  const plain = kindsFor({ storage: 'folder', queue: 'postgres' });
  assert.deepEqual(
    KINDS.filter((kind) => !plain.includes(kind)),
    ['kill-redis', 'cut-redis', 'cut-storage'],
  );
});
