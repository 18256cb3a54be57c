import { MAX_GROUP_CODE } from '../fgq/index.js';
import { type GroupGrid, type GroupMetric, pullOfTarget, type TrialGrid, targetOfPull } from './group-grid.js';
import { PatternSearch } from './pattern-search.js';
import { type ScaleSteps, UniformSearch } from './uniform-search.js';

/** Groups up to this size are solved exactly. */
const LARGEST_EXACT = 6;

/**
 * Candidates for larger groups, as shares of the α that would be exact if M were diagonal. Seven shares, and a second
 * rounding at the α that fits the first, lower the loss by less than 0.3 %.
 */
const START_SHARES = [0.8, 1, 1.2];

/** Ternary groups: q = t·c·s with t ∈ {−1, 0, 1}, c ∈ {0 … 64} and a given s per row. */
export class TernaryGrid implements GroupGrid {
  /** c, [rows, groups]. */
  readonly groupCodes: Uint8Array;
  readonly #scales: Float32Array;
  readonly #groups: number;
  #group = 0;
  #metric!: GroupMetric;
  #exact: PatternSearch | null = null;
  #search: UniformSearch | null = null;
  #buffers = new GroupBuffers(0);

  constructor(scales: Float32Array, groups: number) {
    this.#scales = scales;
    this.#groups = groups;
    this.groupCodes = new Uint8Array(scales.length * groups);
  }

  begin(group: number, metric: GroupMetric): void {
    this.#group = group;
    this.#metric = metric;
    this.#exact = metric.size <= LARGEST_EXACT ? new PatternSearch(metric) : null;
    this.#search = metric.size <= LARGEST_EXACT ? null : new UniformSearch(metric, 1, START_SHARES);
    if (this.#buffers.size !== metric.size) this.#buffers = new GroupBuffers(metric.size);
  }

  place(row: number, target: Float64Array, values: Float64Array, at: number): void {
    const { pull } = this.#buffers;
    pullOfTarget(this.#metric, target, pull);
    const slot = row * this.#groups + this.#group;
    if (this.#exact) {
      this.groupCodes[slot] = this.#exact.solve(pull, this.#scales[row]!, MAX_GROUP_CODE, values, at);
      return;
    }
    this.groupCodes[slot] = this.#search!.solve(target, pull, this.#steps(row), null, 0);
    this.#write(row, values, at);
  }

  improve(row: number, pull: Float64Array, values: Float64Array, at: number): boolean {
    const slot = row * this.#groups + this.#group;
    const scale = this.#scales[row]!;
    const { target, before } = this.#buffers;
    const size = before.length;
    for (let i = 0; i < size; i++) before[i] = values[at + i]!;
    if (this.#exact) {
      this.groupCodes[slot] = this.#exact.solve(pull, scale, MAX_GROUP_CODE, values, at);
      for (let i = 0; i < size; i++) if (values[at + i] !== before[i]) return true;
      return false;
    }
    const codeBefore = this.groupCodes[slot]!;
    for (let i = 0; i < size; i++) before[i] = Math.sign(before[i]!);
    targetOfPull(this.#metric, pull, target);
    const code = this.#search!.solve(target, pull, this.#steps(row), before, codeBefore);
    if (code < 0) return false;
    this.groupCodes[slot] = code;
    this.#write(row, values, at);
    return true;
  }

  trial(): TrialGrid {
    const grid = new TernaryGrid(this.#scales, this.#groups);
    const keep = (row: number, group: number) => {
      const slot = row * this.#groups + group;
      this.groupCodes[slot] = grid.groupCodes[slot]!;
    };
    return { grid, keep };
  }

  #steps(row: number): ScaleSteps {
    return { step: this.#scales[row]!, least: 0, most: MAX_GROUP_CODE };
  }

  #write(row: number, values: Float64Array, at: number): void {
    const alpha = this.groupCodes[row * this.#groups + this.#group]! * this.#scales[row]!;
    const { codes } = this.#search!;
    for (let i = 0; i < codes.length; i++) values[at + i] = codes[i]! * alpha;
  }
}

/** Room for one group. */
class GroupBuffers {
  readonly size: number;
  readonly pull: Float64Array;
  readonly target: Float64Array;
  readonly before: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.pull = new Float64Array(size);
    this.target = new Float64Array(size);
    this.before = new Float64Array(size);
  }
}
