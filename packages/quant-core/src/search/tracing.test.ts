import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import { type Assignment, type Option, totalOf, traceFrontier } from './tracing.js';

/** All assignments of a few units. */
function everyAssignment(units: readonly (readonly Option[])[]): Assignment[] {
  return units.reduce<Assignment[]>(
    (all, options) => all.flatMap((assignment) => options.map((_, index) => [...assignment, index])),
    [[]],
  );
}

function randomUnits(seed: number): Option[][] {
  const next = seededRandom(seed);
  return Array.from({ length: 4 }, () =>
    Array.from({ length: 5 }, () => ({ bytes: Math.floor(next() * 100) + 1, damage: next() })),
  );
}

test('each step of the frontier is the best assignment for some price of a byte, as trying all of them finds', () => {
  for (const seed of [1, 2, 3]) {
    const units = randomUnits(seed);
    const all = everyAssignment(units).map((assignment) => totalOf(units, assignment));
    const path = traceFrontier(units).map((assignment) => totalOf(units, assignment));
    for (let price = 1e-5; price < 1; price *= 1.7) {
      const cost = ({ bytes, damage }: Option) => damage + price * bytes;
      const least = Math.min(...all.map(cost));
      assert.ok(Math.abs(Math.min(...path.map(cost)) - least) < 1e-12, `seed ${seed}, price ${price}`);
    }
  }
});

test('the frontier runs from the smallest assignment to the least damage, one unit at a time', () => {
  const units = randomUnits(4);
  const path = traceFrontier(units);
  const totals = path.map((assignment) => totalOf(units, assignment));
  const all = everyAssignment(units).map((assignment) => totalOf(units, assignment));
  assert.equal(totals[0]!.bytes, Math.min(...all.map(({ bytes }) => bytes)));
  assert.ok(Math.abs(totals.at(-1)!.damage - Math.min(...all.map(({ damage }) => damage))) < 1e-12);
  for (let i = 1; i < path.length; i++) {
    assert.equal(path[i]!.filter((index, unit) => index !== path[i - 1]![unit]).length, 1);
    assert.ok(totals[i]!.bytes > totals[i - 1]!.bytes);
    assert.ok(totals[i]!.damage < totals[i - 1]!.damage);
  }
});

test('options that cost more bytes for no less damage are never chosen', () => {
  const path = traceFrontier([
    [
      { bytes: 10, damage: 1 },
      { bytes: 20, damage: 1 },
      { bytes: 30, damage: 0.5 },
      { bytes: 30, damage: 0.4 },
    ],
  ]);
  assert.deepEqual(path, [[0], [3]]);
});
