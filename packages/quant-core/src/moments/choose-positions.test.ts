import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choosePositions } from './choose-positions.js';

test('all positions are chosen where they fit', () => {
  assert.deepEqual(
    choosePositions([2, 0, 3], 5, 1).map((positions) => [...positions]),
    [[0, 1], [], [0, 1, 2]],
  );
});

test('every equal share of the positions gives exactly one', () => {
  const counts = [700, 0, 50, 1250, 3];
  for (const maxRows of [1, 2, 40, 333, 2002]) {
    const starts = counts.map((_, run) => counts.slice(0, run).reduce((sum, count) => sum + count, 0));
    const chosen = choosePositions(counts, maxRows, 7).flatMap((positions, run) =>
      [...positions].map((p) => starts[run]! + p),
    );
    assert.equal(chosen.length, maxRows);
    for (const [share, position] of chosen.entries()) {
      assert.ok(
        position >= Math.floor((share * 2003) / maxRows) && position < Math.floor(((share + 1) * 2003) / maxRows),
      );
    }
  }
});

test('the choice follows from the seed', () => {
  assert.deepEqual(choosePositions([900, 900], 50, 3), choosePositions([900, 900], 50, 3));
  assert.notDeepEqual(choosePositions([900, 900], 50, 3), choosePositions([900, 900], 50, 4));
});
