/**
 * A near point of a group with two ternary planes.
 *
 *   q = α₁ t₁ + α₂ t₂      α = c·s with c₁ ≥ c₂ ≥ 0, c₁ + c₂ ≤ most
 *
 * As in uniform-search.ts, with pairs instead of codes: a weight takes the best of nine points, both α are refitted
 * together from a 2 × 2 system, and then rounded.
 */
import { TwoScaleSearch } from '../fgq/two-scales.js';
import { type GroupMetric, pointOfTarget } from './group-grid.js';

/** Starts, as shares of the α that would be best if M were the identity. */
const START_SHARES = [0.85, 1, 1.15];
const SWEEPS = 8;
const REFITS = 6;
const NOISE = 1e-12;

/** t₁, t₂ and their codes. */
export interface TwoPlanePoint {
  readonly first: Float64Array;
  readonly second: Float64Array;
  firstCode: number;
  secondCode: number;
}

export class TwoPlaneSearch {
  /** The last solution. */
  readonly point: TwoPlanePoint;
  readonly #metric: GroupMetric;
  readonly #current: TwoPlanePoint;
  readonly #candidate: TwoPlanePoint;
  readonly #target: Float64Array;
  readonly #pull: Float64Array;
  readonly #rest: Float64Array;
  readonly #free: Float64Array;
  readonly #firstProduct: Float64Array;
  readonly #secondProduct: Float64Array;
  readonly #inverseDiagonal: Float64Array;
  readonly #prefixSums: Float64Array;
  readonly #scales: TwoScaleSearch;
  #alpha1 = 0;
  #alpha2 = 0;
  #found = false;
  #leastLoss = 0;

  constructor(metric: GroupMetric) {
    const { size, matrix } = metric;
    this.#metric = metric;
    this.point = emptyPoint(size);
    this.#current = emptyPoint(size);
    this.#candidate = emptyPoint(size);
    this.#target = new Float64Array(size);
    this.#pull = new Float64Array(size);
    this.#rest = new Float64Array(size);
    this.#free = new Float64Array(size);
    this.#firstProduct = new Float64Array(size);
    this.#secondProduct = new Float64Array(size);
    this.#prefixSums = new Float64Array(size);
    this.#scales = new TwoScaleSearch(this.#prefixSums);
    this.#inverseDiagonal = Float64Array.from({ length: size }, (_, i) => 1 / matrix[i * size + i]!);
  }

  /**
   * Finds a point.
   * @param target x·U
   * @param pull x·M
   * @param before a point to start from too; null to start from scratch
   * @returns whether something better than `before` was found; it is in `point`
   */
  solve(target: Float64Array, pull: Float64Array, scale: number, most: number, before: TwoPlanePoint | null): boolean {
    this.#target.set(target);
    this.#pull.set(pull);
    this.#found = before === null;
    this.#leastLoss = 0;
    clear(this.point);
    if (before !== null) {
      copy(before, this.#current);
      this.#multiply();
      this.#leastLoss = this.#loss(before.firstCode * scale, before.secondCode * scale);
      this.#settle(scale, most);
    }
    if (this.#findCandidate()) {
      copy(this.#candidate, this.#current);
      this.#multiply();
      this.#settle(scale, most);
    }
    return this.#found;
  }

  #settle(scale: number, most: number): void {
    this.#descend(scale, most);
    const { firstCode, secondCode } = this.#current;
    const loss = this.#loss(firstCode * scale, secondCode * scale);
    if (!(loss < this.#leastLoss - Math.abs(this.#leastLoss) * NOISE)) return;
    this.#leastLoss = loss;
    this.#found = true;
    copy(this.#current, this.point);
  }

  /** Puts the best rounding into #candidate; false when x is zero. */
  #findCandidate(): boolean {
    this.#chooseStart();
    const [start1, start2] = [this.#alpha1, this.#alpha2];
    if (!(start1 > 0)) return false;
    let leastLoss = 0;
    for (const share of START_SHARES) {
      this.#alpha1 = start1 * share;
      this.#alpha2 = start2 * share;
      this.#round();
      this.#multiply();
      if (!this.#fit()) continue;
      const loss = this.#loss(this.#alpha1, this.#alpha2);
      if (loss >= leastLoss) continue;
      leastLoss = loss;
      copy(this.#current, this.#candidate);
    }
    return leastLoss < 0;
  }

  /** Both α that would be best for x if M were the identity. */
  #chooseStart(): void {
    pointOfTarget(this.#metric, this.#target, this.#free);
    const magnitudes = this.#free.map(Math.abs).sort().reverse();
    let sum = 0;
    magnitudes.forEach((magnitude, i) => {
      sum += magnitude;
      this.#prefixSums[i] = sum;
    });
    this.#scales.solve(0, magnitudes.length);
    this.#alpha1 = this.#scales.first;
    this.#alpha2 = this.#scales.second;
  }

  /** Rounds one weight after the other, each with what the earlier ones left. */
  #round(): void {
    const { size, factor } = this.#metric;
    const { first, second } = this.#current;
    const rest = this.#rest;
    rest.set(this.#target);
    for (let i = 0; i < size; i++) {
      const line = i * size;
      this.#nearest(rest[i]! / factor[line + i]!, i);
      const value = first[i]! * this.#alpha1 + second[i]! * this.#alpha2;
      if (value === 0) continue;
      for (let j = i; j < size; j++) rest[j] = rest[j]! - value * factor[line + j]!;
    }
  }

  /** Gives weight i the pair whose value is nearest to x. */
  #nearest(x: number, i: number): void {
    const magnitude = Math.abs(x);
    const sign = x < 0 ? -1 : 1;
    const without = ternaryOf(magnitude, this.#alpha2);
    const over = magnitude - this.#alpha1;
    const beside = ternaryOf(over, this.#alpha2);
    const takes = Math.abs(over - beside * this.#alpha2) < Math.abs(magnitude - without * this.#alpha2);
    this.#current.first[i] = takes ? sign : 0;
    this.#current.second[i] = sign * (takes ? beside : without);
  }

  /** t₁·M and t₂·M. */
  #multiply(): void {
    const { size, matrix } = this.#metric;
    for (const [plane, product] of [
      [this.#current.first, this.#firstProduct],
      [this.#current.second, this.#secondProduct],
    ] as const) {
      product.fill(0);
      for (let i = 0; i < size; i++) {
        const t = plane[i]!;
        if (t === 0) continue;
        for (let j = 0, at = i * size; j < size; j++, at++) product[j] = product[j]! + t * matrix[at]!;
      }
    }
  }

  /** Refits both α; false when nothing positive fits. Without a second plane α₂ is 0. */
  #fit(): boolean {
    const { first, second } = this.#current;
    let [pull1, pull2, norm1, norm2, mixed] = [0, 0, 0, 0, 0];
    for (let i = 0; i < this.#metric.size; i++) {
      pull1 += first[i]! * this.#pull[i]!;
      pull2 += second[i]! * this.#pull[i]!;
      norm1 += first[i]! * this.#firstProduct[i]!;
      norm2 += second[i]! * this.#secondProduct[i]!;
      mixed += first[i]! * this.#secondProduct[i]!;
    }
    const determinant = norm1 * norm2 - mixed * mixed;
    if (determinant > norm1 * norm2 * NOISE) {
      this.#alpha1 = (pull1 * norm2 - pull2 * mixed) / determinant;
      this.#alpha2 = (pull2 * norm1 - pull1 * mixed) / determinant;
    } else if (norm1 > 0) {
      this.#alpha1 = pull1 / norm1;
      this.#alpha2 = 0;
    } else {
      this.#alpha1 = norm2 > 0 ? pull2 / norm2 : 0;
      this.#alpha2 = 0;
      first.set(second);
      second.fill(0);
      this.#firstProduct.set(this.#secondProduct);
      this.#secondProduct.fill(0);
    }
    this.#putLargerFirst();
    return this.#alpha1 > 0;
  }

  /** Makes both α positive and α₁ the larger one, without changing the point. */
  #putLargerFirst(): void {
    const { first, second } = this.#current;
    if (this.#alpha2 < 0) {
      this.#alpha2 = -this.#alpha2;
      negate(second);
      negate(this.#secondProduct);
    }
    if (this.#alpha1 < 0) {
      this.#alpha1 = -this.#alpha1;
      negate(first);
      negate(this.#firstProduct);
    }
    if (this.#alpha2 <= this.#alpha1) return;
    [this.#alpha1, this.#alpha2] = [this.#alpha2, this.#alpha1];
    exchange(first, second);
    exchange(this.#firstProduct, this.#secondProduct);
  }

  /** The loss up to a constant, 0 for zeros. */
  #loss(alpha1: number, alpha2: number): number {
    const { first, second } = this.#current;
    let loss = 0;
    for (let i = 0; i < this.#metric.size; i++) {
      const value = alpha1 * first[i]! + alpha2 * second[i]!;
      const product = alpha1 * this.#firstProduct[i]! + alpha2 * this.#secondProduct[i]!;
      loss += value * (product - 2 * this.#pull[i]!);
    }
    return loss;
  }

  #descend(scale: number, most: number): void {
    for (let refit = 0; refit < REFITS; refit++) if (!this.#fit() || !this.#sweep()) break;
    const current = this.#current;
    [current.firstCode, current.secondCode] = [-1, -1];
    for (let refit = 0; refit < REFITS; refit++) {
      const firstCode = Math.min(Math.max(Math.round(this.#alpha1 / scale), 1), most);
      const secondCode = Math.min(Math.round(this.#alpha2 / scale), most - firstCode, firstCode);
      if (firstCode === current.firstCode && secondCode === current.secondCode) break;
      [current.firstCode, current.secondCode] = [firstCode, secondCode];
      this.#alpha1 = firstCode * scale;
      this.#alpha2 = secondCode * scale;
      for (let sweep = 0; sweep < SWEEPS; sweep++) if (!this.#sweep()) break;
      if (secondCode === 0) this.#dropSecond();
      if (!this.#fit()) break;
    }
    if (this.#loss(current.firstCode * scale, current.secondCode * scale) < 0) return;
    clear(current);
    this.#multiply();
  }

  #dropSecond(): void {
    this.#current.second.fill(0);
    this.#secondProduct.fill(0);
  }

  /** One sweep of coordinate descent at both α; returns whether a pair changed. */
  #sweep(): boolean {
    const { size, matrix } = this.#metric;
    const { first, second } = this.#current;
    let moved = false;
    for (let i = 0; i < size; i++) {
      const [before1, before2] = [first[i]!, second[i]!];
      const value = this.#alpha1 * before1 + this.#alpha2 * before2;
      const product = this.#alpha1 * this.#firstProduct[i]! + this.#alpha2 * this.#secondProduct[i]!;
      this.#nearest(value + (this.#pull[i]! - product) * this.#inverseDiagonal[i]!, i);
      const step1 = first[i]! - before1;
      const step2 = second[i]! - before2;
      if (step1 === 0 && step2 === 0) continue;
      moved = true;
      for (let j = 0, at = i * size; j < size; j++, at++) {
        this.#firstProduct[j] = this.#firstProduct[j]! + step1 * matrix[at]!;
        this.#secondProduct[j] = this.#secondProduct[j]! + step2 * matrix[at]!;
      }
    }
    return moved;
  }
}

function emptyPoint(size: number): TwoPlanePoint {
  return { first: new Float64Array(size), second: new Float64Array(size), firstCode: 0, secondCode: 0 };
}

function copy(from: TwoPlanePoint, to: TwoPlanePoint): void {
  to.first.set(from.first);
  to.second.set(from.second);
  to.firstCode = from.firstCode;
  to.secondCode = from.secondCode;
}

function clear(point: TwoPlanePoint): void {
  point.first.fill(0);
  point.second.fill(0);
  point.firstCode = 0;
  point.secondCode = 0;
}

function negate(values: Float64Array): void {
  for (let i = 0; i < values.length; i++) values[i] = 0 - values[i]!;
}

function exchange(a: Float64Array, b: Float64Array): void {
  for (let i = 0; i < a.length; i++) [a[i], b[i]] = [b[i]!, a[i]!];
}

/** −1, 0 or 1: which multiple of α is nearest. */
function ternaryOf(value: number, alpha: number): number {
  return value > alpha / 2 ? 1 : value < -alpha / 2 ? -1 : 0;
}
