import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussian, seededRandom } from '../../testing/random.js';
import type { Pair } from '../sample-pair.js';
import { type Affine, type Mixing, type MixingMode, mix, mixGradient } from './mixture.js';

const SIZE = 6;
const next = gaussian(seededRandom(4));
const vector = (length: number) => Float32Array.from({ length }, next);
const AFFINES: Affine[] = [3, 4, 6].map((channels) => ({ gain: vector(channels), shift: vector(channels) }));
const PAIR: Pair = { positions: [0, 2], shares: [0.3, 0.7] };

const empty = (): Mixing => ({ matrix: new Float32Array(SIZE * SIZE), shift: new Float32Array(SIZE) });

function mixed(pair: Pair, affines: readonly Affine[], mode: MixingMode = 'interpolate'): Mixing {
  const target = empty();
  mix(pair, affines, mode, target);
  return target;
}

test('a candidate alone is its normalization, and nothing beyond its channels', () => {
  const { matrix, shift } = mixed({ positions: [1], shares: [1] }, AFFINES);
  const { gain, shift: own } = AFFINES[1]!;
  for (let i = 0; i < SIZE; i++)
    for (let j = 0; j < SIZE; j++) assert.equal(matrix[i * SIZE + j], i === j && i < 4 ? gain[i] : 0);
  assert.deepEqual([...shift], [...own, 0, 0]);
});

test('the smaller candidate of a pair is spread over the channels of the larger one', () => {
  const { matrix } = mixed({ positions: [0, 2], shares: [1, 0] }, AFFINES);
  const { gain } = AFFINES[0]!;
  for (let i = 0; i < SIZE; i++)
    for (let j = 0; j < SIZE; j++) assert.equal(matrix[i * SIZE + j], j === Math.floor(i / 2) ? gain[j] : 0);
});

test('masked, the first channels of the smaller candidate are the first ones of the larger one', () => {
  const { matrix, shift } = mixed({ positions: [0, 2], shares: [1, 0] }, AFFINES, 'mask');
  const { gain, shift: own } = AFFINES[0]!;
  for (let i = 0; i < SIZE; i++)
    for (let j = 0; j < SIZE; j++) assert.equal(matrix[i * SIZE + j], i === j && i < 3 ? gain[i] : 0);
  assert.deepEqual([...shift], [...own, 0, 0, 0]);
});

for (const mode of ['interpolate', 'mask'] as const)
  test(`gradients by shares, γ and β are those of differences, ${mode}`, () => {
    const weights: Mixing = { matrix: vector(SIZE * SIZE), shift: vector(SIZE) };
    const loss = (pair: Pair, affines: readonly Affine[]) => {
      const { matrix, shift } = mixed(pair, affines, mode);
      const products = [...matrix].map((value, i) => value * weights.matrix[i]!);
      return [...products, ...[...shift].map((value, i) => value * weights.shift[i]!)].reduce(
        (sum, value) => sum + value,
      );
    };
    const byAffines = AFFINES.map(({ gain }) => ({ gain: vector(gain.length), shift: vector(gain.length) }));
    const untouched = byAffines[1]!.gain.slice();
    const byShares = mixGradient(PAIR, AFFINES, mode, weights, byAffines);
    const step = 0.5;
    // The mixture is linear in each of them.
    PAIR.shares.forEach((share, i) => {
      const changed = { ...PAIR, shares: PAIR.shares.with(i, share + step) };
      assert.ok(Math.abs((loss(changed, AFFINES) - loss(PAIR, AFFINES)) / step - byShares[i]!) < 1e-4);
    });
    for (const position of PAIR.positions)
      for (const key of ['gain', 'shift'] as const)
        for (let c = 0; c < AFFINES[position]![key].length; c++) {
          const own = {
            ...AFFINES[position]!,
            [key]: AFFINES[position]![key].with(c, AFFINES[position]![key][c]! + step),
          };
          const slope = (loss(PAIR, AFFINES.with(position, own)) - loss(PAIR, AFFINES)) / step;
          assert.ok(Math.abs(slope - byAffines[position]![key][c]!) < 1e-4, `${key} ${c} of candidate ${position}`);
        }
    assert.deepEqual(byAffines[1]!.gain, untouched);
  });
