import { type GroupGrid, type GroupMetric, pullOfTarget, type TrialGrid, targetOfPull } from './group-grid.js';
import { type CodeSet, type ScaleSteps, UniformSearch } from './uniform-search.js';

/** Candidates, as shares of the α with which nothing is clipped. */
const START_SHARES = [1, 0.9, 0.8, 0.7, 0.6];

/** Symmetric integers: q = k·α with k ∈ {−L … L}, or the odd ones of them. What α may be is said per row. */
export class IntegerGrid implements GroupGrid {
  /** k, [rows, K] in the order of the columns. */
  readonly codes: Int8Array;
  /** c of α = step·c, [rows, groups]. */
  readonly scaleCodes: Float64Array;
  readonly #steps: readonly ScaleSteps[];
  readonly #largest: number;
  readonly #codeSet: CodeSet;
  readonly #starts: Int32Array;
  readonly #groups: number;
  readonly #columns: number;
  #group = 0;
  #metric!: GroupMetric;
  #search!: UniformSearch;
  #buffer = new Float64Array(0);
  #before = new Float64Array(0);

  /**
   * @param largest L, at most 127
   * @param starts the column where each group starts, and K at the end
   * @param codeSet `odd` needs given scales, as it has no zero for groups without one
   */
  constructor(steps: readonly ScaleSteps[], largest: number, starts: Int32Array, codeSet: CodeSet = 'all') {
    const groups = starts.length - 1;
    const columns = starts[groups]!;
    this.#steps = steps;
    this.#largest = largest;
    this.#codeSet = codeSet;
    this.#starts = starts;
    this.#groups = groups;
    this.#columns = columns;
    this.codes = new Int8Array(steps.length * columns);
    this.scaleCodes = new Float64Array(steps.length * groups);
  }

  begin(group: number, metric: GroupMetric): void {
    this.#group = group;
    this.#metric = metric;
    this.#search = new UniformSearch(metric, this.#largest, START_SHARES, this.#codeSet);
    this.#buffer = new Float64Array(metric.size);
    this.#before = new Float64Array(metric.size);
  }

  place(row: number, target: Float64Array, values: Float64Array, at: number): void {
    pullOfTarget(this.#metric, target, this.#buffer);
    const code = this.#search.solve(target, this.#buffer, this.#steps[row]!, null, 0);
    this.#write(row, code, values, at);
  }

  improve(row: number, pull: Float64Array, values: Float64Array, at: number): boolean {
    const before = this.#before;
    const own = row * this.#columns + this.#starts[this.#group]!;
    for (let i = 0; i < before.length; i++) before[i] = this.codes[own + i]!;
    targetOfPull(this.#metric, pull, this.#buffer);
    const codeBefore = this.scaleCodes[row * this.#groups + this.#group]!;
    const code = this.#search.solve(this.#buffer, pull, this.#steps[row]!, before, codeBefore);
    if (code < 0) return false;
    this.#write(row, code, values, at);
    return true;
  }

  trial(): TrialGrid {
    const grid = new IntegerGrid(this.#steps, this.#largest, this.#starts, this.#codeSet);
    const keep = (row: number, group: number) => {
      const slot = row * this.#groups + group;
      const start = row * this.#columns + this.#starts[group]!;
      const end = row * this.#columns + this.#starts[group + 1]!;
      this.scaleCodes[slot] = grid.scaleCodes[slot]!;
      this.codes.set(grid.codes.subarray(start, end), start);
    };
    return { grid, keep };
  }

  #write(row: number, code: number, values: Float64Array, at: number): void {
    const alpha = code * this.#steps[row]!.step;
    const { codes } = this.#search;
    const own = row * this.#columns + this.#starts[this.#group]!;
    this.scaleCodes[row * this.#groups + this.#group] = code;
    for (let i = 0; i < codes.length; i++) {
      this.codes[own + i] = codes[i]!;
      values[at + i] = codes[i]! * alpha;
    }
  }
}
