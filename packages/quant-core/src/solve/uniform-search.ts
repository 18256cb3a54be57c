/**
 * A near point of a group whose weights are multiples of one scale.
 *
 *   q = α̂ k      k_i ∈ {−L … L},  α̂ = step·c with c ∈ {least … most}      ternary: L = 1
 *                or the odd ones of them, with a given α̂
 *
 * Exact solutions are out of reach beyond a handful of weights. What is done instead:
 *
 * 1. Candidates: rounding one weight after the other at several α, each with what the earlier ones left (Babai's nearest
 *    plane, Combinatorica 6, 1986).
 * 2. From the best of them and from the point before: coordinate descent on k and refits of α = k·v / kMkᵀ in turn; then α
 *    becomes a code and coordinate descent follows it.
 * 3. The better end, if it is better than the point before.
 */
import { type GroupMetric, pointOfTarget } from './group-grid.js';

/** Which integers codes may be. */
export type CodeSet = 'all' | 'odd';

/** Which scales a group may have; `least` and `most` equal: the scale is given. */
export interface ScaleSteps {
  readonly step: number;
  readonly least: number;
  readonly most: number;
}

/** Sweeps of coordinate descent at one α, at most; nearly all end by themselves before. */
const SWEEPS = 8;
/** Times that α is refitted or rounded, at most. */
const REFITS = 6;
/** Relative differences of losses that are rounding errors. */
const NOISE = 1e-12;

export class UniformSearch {
  /** k of the last solution. */
  readonly codes: Float64Array;
  readonly #metric: GroupMetric;
  /** L. */
  readonly #largest: number;
  readonly #nearest: (value: number, largest: number) => number;
  /** Loss of a point that anything is better than: that of zeros, if codes can be zero. */
  readonly #startingLoss: number;
  /** The α that candidates start from, as shares of α before, or of one that fits x where there is none. */
  readonly #shares: readonly number[];
  readonly #target: Float64Array;
  /** v = x·M. */
  readonly #pull: Float64Array;
  readonly #rest: Float64Array;
  readonly #k: Float64Array;
  readonly #best: Float64Array;
  /** p = k·M. */
  readonly #product: Float64Array;
  readonly #point: Float64Array;
  readonly #order: Int32Array;
  readonly #inverseDiagonal: Float64Array;
  #bestGain = 0;
  /** k·v as of the last fit. */
  #pulled = 0;
  /** c and loss of `codes`. */
  #found = 0;
  #leastLoss = 0;

  constructor(metric: GroupMetric, largest: number, shares: readonly number[], codeSet: CodeSet = 'all') {
    const { size, matrix } = metric;
    this.#metric = metric;
    this.#largest = largest;
    this.#nearest = codeSet === 'all' ? clampedRound : clampedOddRound;
    this.#startingLoss = codeSet === 'all' ? 0 : Number.MAX_VALUE;
    this.#shares = shares;
    this.codes = new Float64Array(size);
    this.#target = new Float64Array(size);
    this.#pull = new Float64Array(size);
    this.#rest = new Float64Array(size);
    this.#k = new Float64Array(size);
    this.#best = new Float64Array(size);
    this.#product = new Float64Array(size);
    this.#point = new Float64Array(size);
    this.#order = new Int32Array(size);
    this.#inverseDiagonal = Float64Array.from({ length: size }, (_, i) => 1 / matrix[i * size + i]!);
  }

  /**
   * Finds a point.
   * @param target x·U
   * @param pull x·M
   * @param before codes to start from too; null to start from scratch
   * @param codeBefore c of `before`
   * @returns c, or −1 when nothing is better than `before`; the codes are in `codes`
   */
  solve(
    target: Float64Array,
    pull: Float64Array,
    steps: ScaleSteps,
    before: Float64Array | null,
    codeBefore: number,
  ): number {
    this.#target.set(target);
    this.#pull.set(pull);
    this.#found = before === null ? 0 : -1;
    this.#leastLoss = this.#startingLoss;
    this.codes.fill(0);
    if (before !== null) {
      this.#k.set(before);
      this.#multiply();
      this.#leastLoss = this.#loss(codeBefore * steps.step);
      this.#settle(steps);
    }
    if (this.#findCandidate(steps, codeBefore)) {
      this.#k.set(this.#best);
      this.#multiply();
      this.#settle(steps);
    }
    return this.#found;
  }

  /** Descends from #k and keeps the end if it is the best so far. */
  #settle(steps: ScaleSteps): void {
    const code = this.#descend(steps);
    const loss = this.#loss(code * steps.step);
    if (!(loss < this.#leastLoss - Math.abs(this.#leastLoss) * NOISE)) return;
    this.#leastLoss = loss;
    this.#found = code;
    this.codes.set(this.#k);
  }

  /** Puts the best of all candidates into #best; false when there is none. */
  #findCandidate({ step, least, most }: ScaleSteps, codeBefore: number): boolean {
    if (least === most) {
      this.#round(step * least);
      this.#best.set(this.#k);
      return true;
    }
    this.#bestGain = 0;
    const start = codeBefore > 0 ? codeBefore * step : this.#start();
    if (!(start > 0)) return false;
    for (const share of this.#shares) {
      this.#round(start * share);
      this.#judgeRounded(start * share);
    }
    return this.#bestGain > 0;
  }

  /** Rounds one weight after the other; what is left of x·U is in #rest, the codes are in #k. */
  #round(alpha: number): void {
    const { size, factor } = this.#metric;
    const k = this.#k;
    const rest = this.#rest;
    const largest = this.#largest;
    rest.set(this.#target);
    for (let i = 0; i < size; i++) {
      const line = i * size;
      const code = this.#nearest(rest[i]! / (factor[line + i]! * alpha), largest);
      k[i] = code;
      if (code === 0) continue;
      const value = code * alpha;
      for (let j = i; j < size; j++) rest[j] = rest[j]! - value * factor[line + j]!;
    }
  }

  /** Keeps the codes rounded at α if they are the best so far, with the α that fits them. */
  #judgeRounded(alpha: number): void {
    const size = this.#metric.size;
    let pulled = 0;
    let norm = 0;
    for (let i = 0; i < size; i++) {
      const part = (this.#target[i]! - this.#rest[i]!) / alpha;
      pulled += part * this.#target[i]!;
      norm += part * part;
    }
    const gain = (pulled * pulled) / norm;
    if (!(pulled > 0 && gain > this.#bestGain)) return;
    this.#bestGain = gain;
    this.#best.set(this.#k);
  }

  /** An α that fits x. */
  #start(): number {
    return this.#largest === 1 ? this.#ternaryStart() : this.#largestMagnitude() / this.#largest;
  }

  /** The exact solution for the diagonal of M alone, as a candidate; returns its α. */
  #ternaryStart(): number {
    const { size, matrix } = this.#metric;
    const point = this.#point;
    const order = this.#order;
    pointOfTarget(this.#metric, this.#target, point);
    rankByMagnitude(point, order);
    let pulled = 0;
    let norm = 0;
    let bestGain = 0;
    let count = 0;
    let alpha = 0;
    for (let rank = 0; rank < size; rank++) {
      const i = order[rank]!;
      const weight = matrix[i * size + i]!;
      pulled += weight * Math.abs(point[i]!);
      norm += weight;
      if (pulled * pulled <= bestGain * norm) continue;
      bestGain = (pulled * pulled) / norm;
      count = rank + 1;
      alpha = pulled / norm;
    }
    this.#k.fill(0);
    for (let rank = 0; rank < count; rank++) this.#k[order[rank]!] = point[order[rank]!]! < 0 ? -1 : 1;
    this.#multiply();
    const full = this.#fit();
    if (full > 0) {
      this.#bestGain = full * this.#pulled;
      this.#best.set(this.#k);
    }
    return alpha;
  }

  #largestMagnitude(): number {
    pointOfTarget(this.#metric, this.#target, this.#point);
    return this.#point.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  }

  /** p = k·M. */
  #multiply(): void {
    const { size, matrix } = this.#metric;
    const product = this.#product;
    product.fill(0);
    for (let i = 0; i < size; i++) {
      const code = this.#k[i]!;
      if (code === 0) continue;
      const line = i * size;
      for (let j = 0; j < size; j++) product[j] = product[j]! + code * matrix[line + j]!;
    }
  }

  /** α = k·v / kMkᵀ; 0 when k points away from x. */
  #fit(): number {
    let pulled = 0;
    let norm = 0;
    for (let i = 0; i < this.#metric.size; i++) {
      pulled += this.#k[i]! * this.#pull[i]!;
      norm += this.#k[i]! * this.#product[i]!;
    }
    this.#pulled = pulled;
    return pulled > 0 ? pulled / norm : 0;
  }

  /** (αk)M(αk)ᵀ − 2 αk·v: the loss up to a constant, 0 for a group of zeros. */
  #loss(alpha: number): number {
    let loss = 0;
    for (let i = 0; i < this.#metric.size; i++) {
      loss += this.#k[i]! * (alpha * this.#product[i]! - 2 * this.#pull[i]!);
    }
    return loss * alpha;
  }

  /** Coordinate descent from #k: free α first, then its codes. Returns c; 0, with #k zero, where zeros are best. */
  #descend({ step, least, most }: ScaleSteps): number {
    let alpha = step * least;
    for (let refit = 0; refit < REFITS && least < most; refit++) {
      alpha = this.#fit();
      if (!(alpha > 0) || !this.#sweep(alpha)) break;
    }
    let code = -1;
    for (let refit = 0; refit < REFITS; refit++) {
      const next = Math.min(Math.max(Math.round(alpha / step), least, 1), most);
      if (next === code) break;
      code = next;
      for (let sweep = 0; sweep < SWEEPS; sweep++) if (!this.#sweep(code * step)) break;
      alpha = this.#fit();
    }
    if (least < most && !(this.#loss(code * step) < 0)) {
      this.#k.fill(0);
      this.#product.fill(0);
      return 0;
    }
    return code;
  }

  /** One sweep at a given α; returns whether a code changed. */
  #sweep(alpha: number): boolean {
    const { size, matrix } = this.#metric;
    const k = this.#k;
    const pull = this.#pull;
    const product = this.#product;
    const inverse = this.#inverseDiagonal;
    const largest = this.#largest;
    let moved = false;
    for (let i = 0; i < size; i++) {
      const code = this.#nearest(k[i]! + (pull[i]! / alpha - product[i]!) * inverse[i]!, largest);
      const change = code - k[i]!;
      if (change === 0) continue;
      moved = true;
      k[i] = code;
      const line = i * size;
      for (let j = 0; j < size; j++) product[j] = product[j]! + change * matrix[line + j]!;
    }
    return moved;
  }
}

/** Nearest of −largest … largest; halves towards zero. */
function clampedRound(value: number, largest: number): number {
  const magnitude = Math.min(Math.ceil(Math.abs(value) - 0.5), largest);
  return value < 0 ? -magnitude : magnitude;
}

/** Nearest odd number of −largest … largest; halves towards zero, and zero up. */
function clampedOddRound(value: number, largest: number): number {
  const magnitude = Math.min(2 * Math.max(Math.ceil(Math.abs(value) / 2), 1) - 1, largest);
  return value < 0 ? -magnitude : magnitude;
}

/** Indices by descending magnitude; of equal ones the earlier first. */
function rankByMagnitude(values: Float64Array, order: Int32Array): void {
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    let place = i;
    while (place > 0 && Math.abs(values[order[place - 1]!]!) < magnitude) {
      order[place] = order[place - 1]!;
      place--;
    }
    order[place] = i;
  }
}
