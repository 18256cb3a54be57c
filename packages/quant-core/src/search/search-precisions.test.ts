import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import type { SearchLimits } from './limits.js';
import { bestPoint, type Measurement, paretoPoints, type SearchOption, searchPrecisions } from './search-precisions.js';
import { type Assignment, totalOf } from './tracing.js';

const OPERATORS = { ternary: 40, int4: 25, int8: 0, uniform: 20, twoPlanes: 80 } as const;
const FILE_BYTES = 500;
const NO_LIMITS: SearchLimits = { maxDrop: null, maxBytes: null, maxBitsPerWeight: null, maxLatencyMs: null };

/** A network of layers whose damages do not quite add up, and whose files have bytes besides the weights. */
function makeProblem(seed: number, limits: Partial<SearchLimits>, evaluations = 40) {
  const next = seededRandom(seed);
  const units = Array.from({ length: 10 }, (): SearchOption[] => {
    const [weights, gain, speed] = [Math.floor(500 + 8000 * next()), 10 ** (-3 * next()), 0.4 + next()];
    return [
      { kind: 'ternary', bytes: weights / 4, damage: 0.18 * gain, ms: speed * weights },
      { kind: 'int4', bytes: weights / 2, damage: 0.013 * gain, ms: 1.2 * weights },
      { kind: 'int8', bytes: weights, damage: 1e-4 * gain, ms: weights },
    ];
  });
  const luck = units.map((options) => options.map(() => 0.5 + next()));
  const sizeOf = (assignment: Assignment) => {
    const chosen = assignment.map((index, unit) => units[unit]![index]!);
    const operators = chosen.reduce((sum, { kind }) => sum + OPERATORS[kind], 0);
    const { bytes } = totalOf(units, assignment);
    return { sizeBytes: FILE_BYTES + bytes + operators, bitsPerWeight: bytes / 1000 };
  };
  const measured: Assignment[] = [];
  const measure = async (assignment: Assignment): Promise<Measurement> => {
    measured.push(assignment);
    const drop = assignment.reduce(
      (sum, index, unit) => sum + 20 * units[unit]![index]!.damage * luck[unit]![index]!,
      0,
    );
    // Alone the layers take a little longer than in the network.
    const ms = assignment.reduce((sum, index, unit) => sum + units[unit]![index]!.ms, 0);
    return { ...sizeOf(assignment), drop, latencyMs: limits.maxLatencyMs === undefined ? null : 0.97 * ms - 2000 };
  };
  const singles = [2, 0, 1].map((index) => units.map(() => index));
  const problem = { units, singles, limits: { ...NO_LIMITS, ...limits }, evaluations, measure };
  return { problem: { ...problem, sizeOf: async (assignment: Assignment) => sizeOf(assignment) }, measured, measure };
}

test('a limit on the drop is met by a network smaller than each one of a single precision that meets it', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const { problem } = makeProblem(seed, { maxDrop: 1 });
    const points = await searchPrecisions(problem);
    const best = bestPoint(points, problem.limits)!;
    assert.ok(best.meets && best.drop <= 1);
    const singles = points.slice(0, 3).filter(({ meets }) => meets);
    assert.ok(singles.length > 0);
    for (const single of singles) assert.ok(best.sizeBytes < single.sizeBytes, `seed ${seed}`);
  }
});

test('the search comes near to the smallest network there is', async () => {
  const { problem, measure } = makeProblem(5, { maxDrop: 1 });
  const points = await searchPrecisions(problem);
  let smallest = Number.POSITIVE_INFINITY;
  for (let code = 0; code < 3 ** 10; code++) {
    const { sizeBytes, drop } = await measure(problem.units.map((_, unit) => Math.floor(code / 3 ** unit) % 3));
    if (drop <= 1) smallest = Math.min(smallest, sizeBytes);
  }
  assert.ok(bestPoint(points, problem.limits)!.sizeBytes < 1.05 * smallest);
});

test('a limit on the size is met by the most accurate network of those that were measured', async () => {
  const { problem } = makeProblem(6, { maxBytes: 16_000 });
  const points = await searchPrecisions(problem);
  const best = bestPoint(points, problem.limits)!;
  assert.ok(best.meets && best.sizeBytes <= 16_000);
  const single = (index: number) => points.find(({ assignment }) => assignment.every((choice) => choice === index));
  assert.ok(best.drop < single(0)!.drop, 'ternary throughout fits, and is less accurate');
  assert.equal(single(2), undefined, 'int8 throughout does not fit, and is not measured');
  assert.ok(points.every(({ drop, meets }) => !meets || drop >= best.drop));
});

test('of networks that are all too large the smallest is measured', async () => {
  const { problem } = makeProblem(6, { maxBytes: 1000 });
  const points = await searchPrecisions(problem);
  const best = bestPoint(points, problem.limits)!;
  assert.ok(!best.meets && points.every(({ sizeBytes }) => sizeBytes >= best.sizeBytes));
});

test('a limit on the latency is met by the most accurate network of those that were measured', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const unlimited = makeProblem(seed, { maxLatencyMs: 1e9 });
    const [int8] = await searchPrecisions(unlimited.problem);
    const fastest = await unlimited.measure(fastestOf(unlimited.problem.units));
    const maxLatencyMs = 0.4 * int8!.latencyMs! + 0.6 * fastest.latencyMs!;
    const { problem } = makeProblem(seed, { maxLatencyMs });
    const points = await searchPrecisions(problem);
    const best = bestPoint(points, problem.limits)!;
    assert.ok(best.meets && best.latencyMs! <= maxLatencyMs, `seed ${seed}: ${best.latencyMs} of ${maxLatencyMs}`);
    assert.ok(best.drop < fastest.drop / 2, 'much more accurate than the fastest network');
    assert.ok(points.every(({ drop, meets }) => !meets || drop >= best.drop));
  }
});

function fastestOf(units: readonly (readonly SearchOption[])[]): Assignment {
  return units.map((options) => {
    const times = options.map(({ ms }) => ms);
    return times.indexOf(Math.min(...times));
  });
}

test('limits on the drop and on the latency are met at once, by a network smaller than the single precisions', async () => {
  const { problem } = makeProblem(2, { maxDrop: 1, maxLatencyMs: 1e9 });
  const [int8] = await searchPrecisions(problem);
  const { problem: limited } = makeProblem(2, { maxDrop: 1, maxLatencyMs: 0.9 * int8!.latencyMs! });
  const best = bestPoint(await searchPrecisions(limited), limited.limits)!;
  assert.ok(best.meets && best.drop <= 1 && best.latencyMs! <= 0.9 * int8!.latencyMs!);
  assert.ok(best.sizeBytes < int8!.sizeBytes);
});

test('of networks that are all too slow the fastest is taken', async () => {
  const { problem } = makeProblem(6, { maxLatencyMs: 1 });
  const points = await searchPrecisions(problem);
  const best = bestPoint(points, problem.limits)!;
  assert.ok(!best.meets && points.every(({ latencyMs }) => latencyMs! >= best.latencyMs!));
});

test('no network is measured twice, and no more than asked for', async () => {
  for (const evaluations of [1, 2, 5, 12]) {
    const { problem, measured } = makeProblem(7, { maxDrop: 1 }, evaluations);
    await searchPrecisions(problem);
    assert.ok(measured.length <= evaluations);
    assert.equal(new Set(measured.map(String)).size, measured.length);
  }
});

test('the same number of evaluations gives the same points', async () => {
  const run = async () => JSON.stringify(await searchPrecisions(makeProblem(8, { maxDrop: 1 }, 12).problem));
  assert.equal(await run(), await run());
});

test('when the time is up the points so far are returned', async () => {
  const { problem, measure } = makeProblem(9, { maxDrop: 1 });
  let left = 4;
  const points = await searchPrecisions({
    ...problem,
    measure: async (assignment) => (left-- > 0 ? measure(assignment) : null),
  });
  assert.equal(points.length, 4);
});

test('when nothing meets the limit, the most accurate network is the best', async () => {
  const { problem } = makeProblem(10, { maxDrop: 1e-9 });
  const points = await searchPrecisions(problem);
  const best = bestPoint(points, problem.limits)!;
  assert.equal(best.meets, false);
  assert.equal(best.drop, Math.min(...points.map(({ drop }) => drop)));
});

test('points that another one beats in both cost and accuracy are not kept', () => {
  const point = (sizeBytes: number, drop: number) => ({
    sizeBytes,
    drop,
    bitsPerWeight: 1,
    latencyMs: 100 - sizeBytes,
  });
  const [a, b, c, d, e] = [point(10, 3), point(20, 1), point(30, 2), point(40, 1), point(20, 2)];
  assert.deepEqual(
    paretoPoints([c, d, e, b, a], ({ sizeBytes }) => sizeBytes),
    [a, b],
  );
  assert.deepEqual(
    paretoPoints([c, d, e, b, a], ({ latencyMs }) => latencyMs),
    [d],
  );
});
