import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import {
  dequantize,
  MAX_GROUP_CODE,
  relativeError,
  type TernaryWeights,
  ternarize,
  toInt8Weights,
  type WeightLayout,
} from '../fgq/index.js';
import { gaussianWeights } from '../fgq/random-weights.js';
import type { InputMoments } from './input-moments.js';
import { type SolveOptions, type Solver, solveLayer } from './solve-layer.js';
import { lossOf, outputError, randomMoments } from './testing.js';

const FEEDBACK: SolveOptions = { solver: 'feedback', groupSize: 4, planes: 1, regress: false };

const LAYER: WeightLayout = { outputChannels: 8, inputChannels: 32, taps: 9 };
const WEIGHTS = gaussianWeights(8 * 32 * 9, 3);
const MOMENTS = randomMoments(WEIGHTS, LAYER, { factors: 8, seed: 11 });

const lossWith = (options: Partial<SolveOptions>) =>
  lossOf(WEIGHTS, dequantize(solveLayer(WEIGHTS, LAYER, MOMENTS, { ...FEEDBACK, ...options })), LAYER, MOMENTS);

function withSecond(moments: InputMoments, element: (i: number, j: number) => number): InputMoments {
  const { columns } = moments;
  return { ...moments, second: moments.second.map((_, at) => element(Math.floor(at / columns), at % columns)) };
}

/** λ of the default damping. */
function ridgeOf({ columns, second }: InputMoments): number {
  let trace = 0;
  for (let i = 0; i < columns; i++) trace += second[i * columns + i]!;
  return (0.05 * trace) / columns;
}

/** All ternary patterns of `size` weights. */
const patternsOf = (size: number): number[][] =>
  Array.from({ length: 3 ** size }, (_, p) => Array.from({ length: size }, (_, i) => (Math.floor(p / 3 ** i) % 3) - 1));

/** The least (w − q)A(w − q)ᵀ over all ternary codes of K weights in one or two groups and all scales α ≥ 0. */
function leastLoss(weights: Float32Array, { columns, second }: InputMoments, ridge: number, groups: 1 | 2): number {
  const a = (i: number, j: number) => second[i * columns + j]! + (i === j ? ridge : 0);
  const form = (x: ArrayLike<number>, y: ArrayLike<number>) => {
    let sum = 0;
    for (let i = 0; i < columns; i++) for (let j = 0; j < columns; j++) sum += x[i]! * a(i, j) * y[j]!;
    return sum;
  };
  const size = columns / groups;
  const zeros = Array<number>(columns - size).fill(0);
  const firsts = patternsOf(size).map((pattern) => [...pattern, ...zeros]);
  const seconds = groups === 1 ? [Array<number>(columns).fill(0)] : patternsOf(size).map((p) => [...zeros, ...p]);
  let best = 0;
  const consider = (gain: number) => {
    best = Math.max(best, gain);
  };
  const own = (plane: readonly number[]) => ({ plane, norm: form(plane, plane), pull: form(plane, weights) });
  const [left, right] = [firsts.map(own), seconds.map(own)];
  for (const t of left) {
    if (t.norm > 0 && t.pull > 0) consider(t.pull ** 2 / t.norm);
    for (const u of right) {
      if (u.norm > 0 && u.pull > 0) consider(u.pull ** 2 / u.norm);
      const mixed = form(t.plane, u.plane);
      const determinant = t.norm * u.norm - mixed ** 2;
      if (!(determinant > 1e-9 * t.norm * u.norm)) continue;
      const alphaT = (t.pull * u.norm - u.pull * mixed) / determinant;
      const alphaU = (u.pull * t.norm - t.pull * mixed) / determinant;
      if (alphaT > 0 && alphaU > 0) consider(alphaT * t.pull + alphaU * u.pull);
    }
  }
  return form(weights, weights) - best;
}

/** Σ loss of the solver over Σ least loss, for random layers of one channel. */
function excess(columns: number, groups: 1 | 2, cases: number): number {
  const layout = { outputChannels: 1, inputChannels: columns, taps: 1 };
  let [found, least] = [0, 0];
  for (let seed = 0; seed < cases; seed++) {
    const weights = gaussianWeights(columns, seed * 10 + 5);
    const moments = randomMoments(weights, layout, { factors: 2, seed: seed * 100 + 7 });
    const ridge = ridgeOf(moments);
    const ternary = solveLayer(weights, layout, moments, { ...FEEDBACK, groupSize: columns / groups });
    found += lossOf(weights, dequantize(ternary), layout, moments, ridge);
    least += leastLoss(weights, moments, ridge, groups);
  }
  return found / least;
}

describe('error feedback', () => {
  it('finds the best of all codes in a single small group, up to the rounding of its scale', () => {
    for (const columns of [2, 3, 4, 6]) {
      const ratio = excess(columns, 1, 20);
      assert.ok(ratio >= 1 - 1e-9 && ratio < 1.01, `${columns} weights: ${ratio}`);
    }
  });

  it('comes near the best of all codes in two groups', () => {
    const ratio = excess(6, 2, 12);
    assert.ok(ratio >= 1 - 1e-9 && ratio < 1.1, `${ratio}`);
  });

  it('loses a fraction of what the nearest weights lose in the outputs', () => {
    for (const [groupSize, planes, most] of [
      [4, 1, 0.1],
      [8, 1, 0.13],
      [16, 1, 0.13],
      [64, 1, 0.12],
      [4, 2, 0.12],
      [64, 2, 0.13],
    ] as const) {
      const ratio = lossWith({ groupSize, planes }) / lossWith({ groupSize, planes, solver: 'exact' });
      assert.ok(ratio < most, `N = ${groupSize}, ${planes} planes: ${ratio}`);
    }
  });

  it('gains by refinement and by search in windows, and never loses', () => {
    for (const [groupSize, planes] of [
      [4, 1],
      [16, 1],
      [64, 1],
      [16, 2],
    ] as const) {
      const losses = [
        { refinements: 0, searches: 0 },
        { refinements: 1, searches: 0 },
        { refinements: 4, searches: 0 },
        { refinements: 4, searches: 6 },
      ].map((effort) => lossWith({ groupSize, planes, damping: 0.01, ...effort }));
      const text = `N = ${groupSize}, ${planes} planes: ${losses}`;
      assert.ok(losses[1]! < 0.96 * losses[0]! && losses[2]! < losses[1]! && losses[3]! < 0.98 * losses[2]!, text);
    }
  });

  it('loses much less with a second plane', () => {
    for (const groupSize of [4, 64]) assert.ok(lossWith({ groupSize, planes: 2 }) < 0.2 * lossWith({ groupSize }));
  });

  it('is plain ternarization where inputs are alike and independent, up to the rounding of scales', () => {
    const identity = withSecond(MOMENTS, (i, j) => (i === j ? 1 : 0));
    for (const groupSize of [4, 16, 64]) {
      const plain = ternarize(WEIGHTS, LAYER, groupSize);
      const solved = solveLayer(WEIGHTS, LAYER, identity, { ...FEEDBACK, groupSize });
      const different = solved.codes.filter((code, i) => code !== plain.codes[i]).length;
      assert.ok(different < 0.005 * WEIGHTS.length, `N = ${groupSize}: ${different} codes differ`);
      const [error, plainError] = [solved, plain].map((ternary) => relativeError(WEIGHTS, dequantize(ternary)));
      assert.ok(error! < 1.002 * plainError!, `N = ${groupSize}: ${error} against ${plainError}`);
    }
  });

  it('follows moments that are scaled, and weights that are scaled by powers of two', () => {
    const solved = solveLayer(WEIGHTS, LAYER, MOMENTS, FEEDBACK);
    const second = MOMENTS.second.map((value) => value * 2 ** 20);
    assert.deepEqual(solveLayer(WEIGHTS, LAYER, { ...MOMENTS, second }, FEEDBACK), solved);
    const small = WEIGHTS.map((weight) => weight * 2 ** -30);
    const channelScales = solved.channelScales.map((scale) => scale * 2 ** -30);
    assert.deepEqual(solveLayer(small, LAYER, MOMENTS, FEEDBACK), { ...solved, channelScales });
  });
});

describe('regression', () => {
  it('makes up for inputs that the earlier layers changed', () => {
    const drifted = randomMoments(WEIGHTS, LAYER, { factors: 8, seed: 11, drift: 1 });
    for (const [solver, groupSize, most] of [
      ['feedback', 4, 0.35],
      ['feedback', 64, 0.37],
      ['exact', 4, 0.35],
    ] as const) {
      const [aimingAtWeights, aimingAtOutputs] = [false, true].map((regress) => {
        const options = { ...FEEDBACK, solver, groupSize, regress };
        return outputError(dequantize(solveLayer(WEIGHTS, LAYER, drifted, options)), LAYER, drifted);
      });
      const ratio = aimingAtOutputs! / aimingAtWeights!;
      assert.ok(ratio < most, `${solver}, N = ${groupSize}: ${ratio}`);
    }
  });

  it('changes next to nothing where nothing drifted', () => {
    for (const groupSize of [4, 64]) {
      const ratio = lossWith({ groupSize, regress: true }) / lossWith({ groupSize });
      assert.ok(Math.abs(ratio - 1) < 0.05, `N = ${groupSize}: ${ratio}`);
    }
  });
});

describe('weighting', () => {
  it('loses less than nearest weights do where inputs vary by different amounts, with one plane and two', () => {
    const uneven = withSecond(MOMENTS, (i, j) => (i === j ? 10 ** ((i % 7) / 2) : 0));
    for (const [groupSize, planes, most] of [
      [4, 1, 0.8],
      [4, 2, 0.8],
      [64, 1, 0.9],
      [64, 2, 0.8],
    ] as const) {
      const [weighted, exact] = (['weighted', 'exact'] as const).map((solver) => {
        const ternary = solveLayer(WEIGHTS, LAYER, uneven, { ...FEEDBACK, solver, groupSize, planes });
        return lossOf(WEIGHTS, dequantize(ternary), LAYER, uneven, ridgeOf(uneven));
      });
      assert.ok(weighted! < most * exact!, `N = ${groupSize}, ${planes} planes: ${weighted! / exact!}`);
    }
  });

  it('is as good as plain ternarization where all inputs vary alike', () => {
    const identity = withSecond(MOMENTS, (i, j) => (i === j ? 3 : 0));
    const solved = solveLayer(WEIGHTS, LAYER, identity, { ...FEEDBACK, solver: 'weighted' });
    const plain = relativeError(WEIGHTS, dequantize(ternarize(WEIGHTS, LAYER, 4)));
    assert.ok(relativeError(WEIGHTS, dequantize(solved)) <= plain * (1 + 1e-6));
  });
});

/** What must hold for every solver. */
for (const solver of ['exact', 'weighted', 'feedback'] satisfies Solver[]) {
  for (const planes of [1, 2] as const) {
    describe(`the solver ${solver} with ${planes === 1 ? 'one plane' : 'two planes'}`, () => {
      const layout: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
      const weights = gaussianWeights(120, 7);
      const moments = randomMoments(weights, layout, { drift: 0.3, seed: 5 });
      const solve = (changed: Partial<SolveOptions> = {}, w = weights, m = moments): TernaryWeights =>
        solveLayer(w, layout, m, { solver, planes, groupSize: 4, regress: true, ...changed });

      it('gives codes that int8 can hold where the last group is short and there are several taps', () => {
        for (const groupSize of [1, 3, 4, 10, 64]) {
          const ternary = solve({ groupSize });
          assert.equal(ternary.codes.length, 120);
          assert.equal(ternary.groupCodes.length, 3 * Math.ceil(10 / groupSize) * 4);
          assert.equal(ternary.residual === undefined, planes === 1);
          for (const plane of [ternary, ternary.residual ?? ternary]) {
            assert.ok(plane.codes.every((t) => t === 0 || Math.abs(t) === 1));
          }
          assert.ok(toInt8Weights(ternary).every((value) => Math.abs(value) <= MAX_GROUP_CODE));
          const error = outputError(dequantize(ternary), layout, moments);
          assert.ok(error < 0.5 * outputError(new Float32Array(120), layout, moments), `N = ${groupSize}: ${error}`);
        }
      });

      it('gives the same result every time, and touches neither weights nor moments', () => {
        const [copy, second, cross] = [weights.slice(), moments.second.slice(), moments.cross.slice()];
        assert.deepEqual(solve(), solve());
        assert.deepEqual([weights, moments.second, moments.cross], [copy, second, cross]);
      });

      it('follows a permutation of output channels', () => {
        const plain = solve();
        const reversedWeights = weights.map((_, i) => weights[(2 - Math.floor(i / 40)) * 40 + (i % 40)]!);
        const cross = moments.cross.map((_, i) => moments.cross[i - (i % 3) + 2 - (i % 3)]!);
        const turned = solve({}, reversedWeights, { ...moments, cross });
        assert.deepEqual(turned.channelScales, plain.channelScales.toReversed());
        for (let oc = 0; oc < 3; oc++) {
          const [from, to] = [(2 - oc) * 40, (3 - oc) * 40];
          assert.deepEqual(turned.codes.subarray(oc * 40, (oc + 1) * 40), plain.codes.subarray(from, to));
        }
      });

      it('respects lower bounds of scales', () => {
        const minimumScales = Float32Array.of(0, 0.05, 1e6);
        const { channelScales, codes } = solve({ minimumScales });
        assert.ok(channelScales.every((scale, oc) => scale >= minimumScales[oc]!));
        assert.equal(channelScales[2], 1e6);
        assert.ok(codes.subarray(80).every((code) => code === 0));
        assert.ok(codes.subarray(40, 80).some((code) => code !== 0));
      });

      it('copes with dead inputs, with inputs that are all dead, and with a layer of one input', () => {
        const dead = withSecond(moments, (i, j) => (i % 10 < 5 || j % 10 < 5 ? 0 : moments.second[i * 40 + j]!));
        const none = withSecond(moments, () => 0);
        const silent = new Float64Array(moments.cross.length);
        for (const still of [dead, none]) {
          const decoded = dequantize(solve({}, weights, { ...still, cross: silent }));
          assert.ok(decoded.every(Number.isFinite));
          // Nothing is known of dead inputs: their weights stay what they are.
          const own = (values: Float32Array) => values.filter((_, i) => Math.floor(i / 4) % 10 < 5);
          const error = relativeError(own(weights), own(decoded));
          assert.ok(error < (planes === 1 ? 0.2 : 0.05), `${error}`);
        }
        const one = { outputChannels: 3, inputChannels: 1, taps: 1 };
        const three = Float32Array.of(0.5, -2, 0);
        const single = solveLayer(three, one, randomMoments(three, one), { ...FEEDBACK, solver, planes });
        assert.deepEqual([...single.codes], [1, -1, 0]);
        assert.ok(relativeError(three, dequantize(single)) < 1e-3);
      });

      it('copes with inputs that are copies of each other, even without damping', () => {
        const copies = withSecond(moments, (i, j) => (i % 2 === j % 2 ? 1 : 0));
        const cross = moments.cross.map((_, at) => (Math.floor(at / 3) % 2 === 0 ? 1 : -1));
        const decoded = dequantize(solve({ damping: 0 }, weights, { ...copies, cross }));
        assert.ok(decoded.every(Number.isFinite));
      });

      it('gives channels of zeros zero codes and a positive scale', () => {
        const zeros = weights.slice().fill(0, 40, 80);
        const { codes, channelScales } = solve({ regress: false }, zeros);
        assert.ok(codes.subarray(40, 80).every((code) => code === 0));
        assert.ok(channelScales.every((scale) => scale > 0));
      });

      it('refuses weights and moments that are not finite', () => {
        const broken = weights.slice();
        broken[57] = Number.NaN;
        assert.throws(
          () => solve({}, broken),
          (error) => error instanceof TritforgeError && error.code === 'MODEL_NONFINITE_WEIGHTS',
        );
        const second = moments.second.slice().fill(Number.NaN, 41, 42);
        assert.throws(() => solve({}, weights, { ...moments, second }), { message: /second moments are not finite/ });
      });
    });
  }
}

describe('a solver', () => {
  it('refuses arguments that do not fit each other', () => {
    const layout = { outputChannels: 1, inputChannels: 4, taps: 1 };
    const weights = gaussianWeights(4, 1);
    const moments = randomMoments(weights, layout);
    assert.throws(() => solveLayer(weights, layout, null, FEEDBACK), { message: /feedback needs moments/ });
    const regressed = { ...FEEDBACK, solver: 'exact', regress: true } as const;
    assert.throws(() => solveLayer(weights, layout, null, regressed), { message: /needs moments/ });
    assert.throws(() => solveLayer(weights, { ...layout, taps: 2 }, moments, FEEDBACK), { message: /weights/ });
    assert.throws(() => solveLayer(weights, layout, { ...moments, columns: 5 }, FEEDBACK), { message: /5 columns/ });
    const cross = new Float64Array(3);
    assert.throws(() => solveLayer(weights, layout, { ...moments, cross }, FEEDBACK), { message: /moments\.cross/ });
    assert.throws(() => solveLayer(weights, layout, moments, { ...FEEDBACK, groupSize: 0 }), { message: /groupSize/ });
    assert.throws(() => solveLayer(weights, layout, moments, { ...FEEDBACK, damping: -1 }), { message: /damping/ });
  });
});
