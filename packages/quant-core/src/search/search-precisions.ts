/**
 * START HERE: the search for the precision of every layer. The additive model of sensitivities proposes, the measurement of whole
 * networks decides.
 *
 *   single precisions     what a recipe without a search can have; they say where on the frontier the limit lies
 *   bisection             along the frontier of the model, to the smallest network that meets the limits
 *   moves                 of one layer, or of two against each other, from the best network so far
 *
 * The order of all measurements follows from what was measured before, never from time: a number of evaluations gives one result.
 */
import { fastFrontier, LatencyModel } from './latency-model.js';
import { isLatencyAlone, isWithinBudget, type NetworkCost, type NetworkSize, type SearchLimits } from './limits.js';
import { operatorBytes } from './operator-bytes.js';
import type { WeightKind } from './precisions.js';
import { type Assignment, type Option, totalOf, traceFrontier } from './tracing.js';

/** What was measured of one network. */
export interface Measurement extends NetworkCost {
  /** How much worse than the original. */
  readonly drop: number;
}

/** A measured network. */
export interface MeasuredPoint extends Measurement {
  readonly assignment: Assignment;
  readonly meets: boolean;
}

/** A choice for one unit; damage as the sensitivities predict it, bytes of the stored codes and scales. */
export interface SearchOption extends Option {
  /** What decodes it; kinds differ in what their operators add to the file. */
  readonly kind: WeightKind;
  /** What the unit's layers take, measured one by one; 0 where the latency does not matter. */
  readonly ms: number;
}

export interface SearchProblem {
  readonly units: readonly (readonly SearchOption[])[];
  /** Assignments with one precision throughout, the safest first. */
  readonly singles: readonly Assignment[];
  readonly limits: SearchLimits;
  /** Networks to measure at most. */
  readonly evaluations: number;
  /** Exactly, without quantizing anything. */
  readonly sizeOf: (assignment: Assignment) => Promise<NetworkSize>;
  /** Quantizes and measures a network; null when the time is up. Called once per assignment. */
  readonly measure: (assignment: Assignment) => Promise<Measurement | null>;
}

/** Share of the evaluations that is left for moves. */
const MOVES_SHARE = 1 / 3;
/** Moves must save so much of the size to be worth a measurement. */
const SMALLEST_SAVING = 0.002;
/** Moves that fail one after the other until the search gives up. */
const MOST_FAILURES = 6;
/** Damage that counts as none. */
const NO_DAMAGE = 1e-12;

/** Searches until the evaluations are used up, nothing is left to try, or the time is up. The points are in the order of measurement. */
export async function searchPrecisions(problem: SearchProblem): Promise<MeasuredPoint[]> {
  const search = new PrecisionSearch(problem);
  try {
    await search.learnSizes();
    for (const single of problem.singles) if (await search.mayBeWanted(single)) await search.measure(single);
    if (problem.limits.maxDrop === null) await search.fillBudget();
    else await search.bisect(problem.limits.maxDrop);
    await search.tryMoves();
  } catch (error) {
    if (error !== OUT_OF_BUDGET) throw error;
  }
  return search.points;
}

/** Thrown to end the search from wherever it is. */
const OUT_OF_BUDGET = Symbol('no evaluation is left');

/** The best of the points: within the limits the smallest, or the most accurate where only its size or its latency is limited. */
export function bestPoint(points: readonly MeasuredPoint[], limits: SearchLimits): MeasuredPoint | null {
  const bySize = (a: MeasuredPoint, b: MeasuredPoint) => a.sizeBytes - b.sizeBytes || a.drop - b.drop;
  const byTime = (a: MeasuredPoint, b: MeasuredPoint) => (a.latencyMs ?? 0) - (b.latencyMs ?? 0) || bySize(a, b);
  const byDrop = (a: MeasuredPoint, b: MeasuredPoint) => a.drop - b.drop || a.sizeBytes - b.sizeBytes;
  const meeting = points.filter(({ meets }) => meets);
  if (meeting.length > 0) return meeting.toSorted(limits.maxDrop === null ? byDrop : bySize)[0]!;
  const fitting = points.filter((point) => isWithinBudget(point, limits));
  if (fitting.length > 0) return fitting.toSorted(byDrop)[0]!;
  return points.toSorted(limits.maxLatencyMs === null ? bySize : byTime)[0] ?? null;
}

/** Points that no other point beats in cost and accuracy, cheap ones first. */
export function paretoPoints<T extends Measurement>(points: readonly T[], cost: (point: T) => number): T[] {
  const byCost = points.toSorted((a, b) => cost(a) - cost(b) || a.drop - b.drop);
  let least = Number.POSITIVE_INFINITY;
  return byCost.filter(({ drop }) => {
    const isBetter = drop < least;
    least = Math.min(least, drop);
    return isBetter;
  });
}

class PrecisionSearch {
  readonly points: MeasuredPoint[] = [];
  readonly #problem: SearchProblem;
  /** Bytes as they add to the size of the file, as far as that is known. */
  #units: SearchProblem['units'];
  readonly #known = new Map<string, MeasuredPoint>();
  /** Networks that turned out to be too large. */
  readonly #rejected = new Set<string>();
  readonly #latencies = new LatencyModel();

  constructor(problem: SearchProblem) {
    this.#problem = problem;
    this.#units = problem.units;
  }

  /** Adds to each option what its operators take in the file. */
  async learnSizes(): Promise<void> {
    const { units } = this.#problem;
    const added = await operatorBytes(this.#problem);
    this.#units = units.map((options) =>
      options.map((option) => ({ ...option, bytes: option.bytes + added[option.kind] })),
    );
  }

  /** A network that is too large tells where a limit on the accuracy lies, and nothing where only its cost is limited. */
  async mayBeWanted(assignment: Assignment): Promise<boolean> {
    return this.#problem.limits.maxDrop !== null || this.#isWithinBudget(assignment);
  }

  async measure(assignment: Assignment): Promise<MeasuredPoint> {
    const key = assignment.join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { limits, evaluations, measure } = this.#problem;
    if (this.points.length >= evaluations) throw OUT_OF_BUDGET;
    const measured = await measure(assignment);
    if (measured === null) throw OUT_OF_BUDGET;
    const meets = measured.drop <= (limits.maxDrop ?? measured.drop) && isWithinBudget(measured, limits);
    const point = { ...measured, assignment, meets };
    this.#known.set(key, point);
    this.points.push(point);
    if (measured.latencyMs !== null) this.#latencies.learn(totalMs(this.#units, assignment), measured.latencyMs);
    return point;
  }

  /** To the smallest network on the frontier whose drop is within the limit. */
  async bisect(maxDrop: number): Promise<void> {
    const { evaluations } = this.#problem;
    const units = this.#units;
    const path = this.#frontier().filter((assignment) => this.#mayFit(assignment));
    const damages = path.map((assignment) => totalOf(units, assignment).damage);
    const mostEvaluations = evaluations - Math.floor(MOVES_SHARE * Math.max(evaluations - this.points.length, 0));
    let [failing, passing] = [-1, path.length];
    let next = nearestIndex(damages, this.#likelyDamage(maxDrop));
    while (passing - failing > 1 && this.points.length < mostEvaluations) {
      const at = Math.min(Math.max(next, failing + 1), passing - 1);
      if ((await this.#isSmallest(path[at]!)) && (await this.measure(path[at]!)).drop > maxDrop) failing = at;
      else passing = at;
      next = this.#between(damages, failing, passing);
    }
  }

  /** To the most accurate network on the frontier that is small and fast enough, or to the first one. */
  async fillBudget(): Promise<void> {
    const path = this.#frontier();
    for (const assignment of path.toReversed()) {
      if (!this.#mayFit(assignment) || !(await this.#isWithinBudget(assignment))) continue;
      // Latencies are predicted: one that turned out too slow corrects the predictions.
      if ((await this.measure(assignment)).meets) return;
    }
    // Nothing fits: the smallest, or the fastest, says how far from it the limit is.
    if (!this.points.some(({ meets }) => meets)) await this.measure(path[0]!);
  }

  /** From small to accurate; from fast to accurate where nothing else than the latency is limited. */
  #frontier(): Assignment[] {
    const { limits } = this.#problem;
    if (limits.maxLatencyMs === null) return traceFrontier(this.#units);
    return fastFrontier(this.#units, { isSizeWanted: !isLatencyAlone(limits) });
  }

  /** From the best network so far, as long as moves help. */
  async tryMoves(): Promise<void> {
    const { limits } = this.#problem;
    for (let failures = 0; failures < MOST_FAILURES; ) {
      const best = bestPoint(this.points, limits);
      const move = best && (await this.#nextMove(best));
      if (move === null) return;
      await this.measure(move);
      failures = bestPoint(this.points, limits) === best ? failures + 1 : 0;
    }
  }

  /** The most promising network near the best one whose size is right. */
  async #nextMove(best: MeasuredPoint): Promise<Assignment | null> {
    const { sizeOf } = this.#problem;
    const mostBytes = this.#isShrinking(best) ? (1 - SMALLEST_SAVING) * best.sizeBytes : Number.POSITIVE_INFINITY;
    for (const assignment of this.#moves(best)) {
      const key = assignment.join();
      if (this.#known.has(key) || this.#rejected.has(key)) continue;
      const size = await sizeOf(assignment);
      if (size.sizeBytes <= mostBytes && (await this.#isWithinBudget(assignment, size))) return assignment;
      this.#rejected.add(key);
    }
    return null;
  }

  /** Whether the file is smaller than all measured ones within the limits; a network that is not need not be measured. */
  async #isSmallest(assignment: Assignment): Promise<boolean> {
    const known = this.#known.get(assignment.join());
    if (known !== undefined) return true;
    const { sizeBytes } = await this.#problem.sizeOf(assignment);
    return this.points.every((point) => !point.meets || point.sizeBytes > sizeBytes);
  }

  /** Size exactly, latency as predicted. */
  async #isWithinBudget(assignment: Assignment, size?: NetworkSize): Promise<boolean> {
    const known = size ?? (await this.#problem.sizeOf(assignment));
    return isWithinBudget({ ...known, latencyMs: this.#latencyOf(assignment) }, this.#problem.limits);
  }

  #latencyOf(assignment: Assignment): number | null {
    return this.#latencies.predict(totalMs(this.#units, assignment));
  }

  /** Whether there is nothing left to do but to become smaller. */
  #isShrinking({ meets }: MeasuredPoint): boolean {
    return meets && this.#problem.limits.maxDrop !== null;
  }

  /** Whether the network is likely to be within the limits of its cost, by what the measured ones add to their weights. */
  #mayFit(assignment: Assignment): boolean {
    const { limits } = this.#problem;
    const units = this.#units;
    if (limits.maxBytes === null && limits.maxBitsPerWeight === null && limits.maxLatencyMs === null) return true;
    const nearest = this.#nearestPoint(assignment);
    if (nearest === null) return true;
    const own = totalOf(units, assignment).bytes;
    const other = totalOf(units, nearest.assignment).bytes;
    return isWithinBudget(
      {
        latencyMs: this.#latencyOf(assignment),
        sizeBytes: nearest.sizeBytes + own - other,
        bitsPerWeight: (nearest.bitsPerWeight * own) / Math.max(other, 1),
      },
      limits,
    );
  }

  #nearestPoint(assignment: Assignment): MeasuredPoint | null {
    const units = this.#units;
    const { bytes } = totalOf(units, assignment);
    const distance = (point: MeasuredPoint) => Math.abs(totalOf(units, point.assignment).bytes - bytes);
    return this.points.toSorted((a, b) => distance(a) - distance(b))[0] ?? null;
  }

  /** The predicted damage at which the measured drop is likely to reach the limit. */
  #likelyDamage(maxDrop: number): number {
    const damageOf = ({ assignment }: MeasuredPoint) => totalOf(this.#units, assignment).damage;
    const passing = this.points.filter(({ drop }) => drop <= maxDrop).map(damageOf);
    const failing = this.points.filter(({ drop }) => drop > maxDrop).map(damageOf);
    if (passing.length === 0) return 0;
    if (failing.length === 0) return Number.POSITIVE_INFINITY;
    return Math.sqrt(Math.max(...passing, NO_DAMAGE) * Math.max(Math.min(...failing), NO_DAMAGE));
  }

  /** The index whose damage is the geometric mean of the two, or the middle. */
  #between(damages: readonly number[], failing: number, passing: number): number {
    const [high, low] = [damages[failing], damages[passing]];
    if (high === undefined || low === undefined) return Math.floor((failing + passing) / 2);
    return nearestIndex(damages, Math.sqrt(Math.max(high, NO_DAMAGE) * Math.max(low, NO_DAMAGE)));
  }

  /**
   * Networks near the given one, the most promising first. Where the drop is limited and met they are smaller: of those whose
   * damage is likely to be within the limit the smallest comes first, then the others, little damage first. Otherwise they have
   * less damage, and what takes few bytes for it comes first.
   */
  #moves(from: MeasuredPoint): Assignment[] {
    const { limits } = this.#problem;
    const units = this.#units;
    const start = totalOf(units, from.assignment);
    const all = this.#neighbours(from.assignment)
      .filter((assignment) => this.#mayFit(assignment))
      .map((assignment): Move => {
        const { bytes, damage } = totalOf(units, assignment);
        return { assignment, saved: start.bytes - bytes, damage };
      });
    if (limits.maxDrop === null || !this.#isShrinking(from)) {
      const worth = ({ saved, damage }: Move) => (start.damage - damage) / Math.max(-saved, 1);
      const better = all.filter(({ damage }) => damage < start.damage);
      return better.sort((a, b) => worth(b) - worth(a)).map(({ assignment }) => assignment);
    }
    const limit = this.#likelyDamage(limits.maxDrop);
    const smaller = all.filter(({ saved }) => saved >= SMALLEST_SAVING * from.sizeBytes);
    const likely = smaller.filter(({ damage }) => damage <= limit).sort((a, b) => b.saved - a.saved);
    const others = smaller.filter(({ damage }) => damage > limit).sort((a, b) => a.damage - b.damage);
    return [...likely, ...others].map(({ assignment }) => assignment);
  }

  /** One unit moved, or one down and another up. */
  #neighbours(from: Assignment): Assignment[] {
    const units = this.#units;
    const steps = units.flatMap((options, unit) =>
      options.flatMap((option, index) => {
        const current = options[from[unit]!]!;
        return index === from[unit]
          ? []
          : [{ unit, index, bytes: option.bytes - current.bytes, damage: option.damage - current.damage }];
      }),
    );
    const single = steps.map(({ unit, index }) => from.with(unit, index));
    const down = largest(
      steps.filter(({ bytes }) => bytes < 0),
      ({ bytes, damage }) => -bytes / Math.max(damage, NO_DAMAGE),
    );
    const up = largest(
      steps.filter(({ bytes, damage }) => bytes >= 0 && damage < 0),
      ({ bytes, damage }) => -damage / Math.max(bytes, 1),
    );
    const pairs = down.flatMap((a) =>
      up.filter((b) => b.unit !== a.unit).map((b) => from.with(a.unit, a.index).with(b.unit, b.index)),
    );
    return [...single, ...pairs];
  }
}

/** What all units take. */
function totalMs(units: SearchProblem['units'], assignment: Assignment): number {
  return assignment.reduce((sum, index, unit) => sum + units[unit]![index]!.ms, 0);
}

interface Move {
  readonly assignment: Assignment;
  readonly saved: number;
  /** Of the whole network. */
  readonly damage: number;
}

/** Steps that are combined with each other, of many units. */
const MOST_STEPS = 64;

function largest<T>(steps: readonly T[], worth: (step: T) => number): T[] {
  return steps.toSorted((a, b) => worth(b) - worth(a)).slice(0, MOST_STEPS);
}

/** Where a falling sequence comes nearest to a value, by ratio. */
function nearestIndex(damages: readonly number[], value: number): number {
  const index = damages.findIndex((damage) => damage <= value);
  return index < 0 ? damages.length - 1 : index;
}
