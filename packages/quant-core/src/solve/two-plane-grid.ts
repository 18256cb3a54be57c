import { MAX_GROUP_CODE } from '../fgq/index.js';
import { type GroupGrid, type GroupMetric, pullOfTarget, type TrialGrid, targetOfPull } from './group-grid.js';
import { type TwoPlanePoint, TwoPlaneSearch } from './two-plane-search.js';

/** Codes of all groups in one plane. */
export interface PlaneCodes {
  /** t, [rows, K] in the order of the columns. */
  readonly codes: Int8Array;
  /** c, [rows, groups]. */
  readonly groupCodes: Uint8Array;
}

/** Groups with two ternary planes: q = (c₁ t₁ + c₂ t₂)·s with c₁ + c₂ ≤ 64 and a given s per row. */
export class TwoPlaneGrid implements GroupGrid {
  readonly first: PlaneCodes;
  readonly second: PlaneCodes;
  readonly #scales: Float32Array;
  readonly #starts: Int32Array;
  readonly #groups: number;
  readonly #columns: number;
  #group = 0;
  #search!: TwoPlaneSearch;
  #metric!: GroupMetric;
  #before!: TwoPlanePoint;
  #buffer = new Float64Array(0);

  /** @param starts the column where each group starts, and K at the end */
  constructor(scales: Float32Array, starts: Int32Array) {
    const groups = starts.length - 1;
    const columns = starts[groups]!;
    this.#scales = scales;
    this.#starts = starts;
    this.#groups = groups;
    this.#columns = columns;
    const plane = (): PlaneCodes => ({
      codes: new Int8Array(scales.length * columns),
      groupCodes: new Uint8Array(scales.length * groups),
    });
    this.first = plane();
    this.second = plane();
  }

  begin(group: number, metric: GroupMetric): void {
    const { size } = metric;
    this.#group = group;
    this.#metric = metric;
    this.#search = new TwoPlaneSearch(metric);
    this.#buffer = new Float64Array(size);
    this.#before = {
      first: new Float64Array(size),
      second: new Float64Array(size),
      firstCode: 0,
      secondCode: 0,
    };
  }

  place(row: number, target: Float64Array, values: Float64Array, at: number): void {
    pullOfTarget(this.#metric, target, this.#buffer);
    this.#search.solve(target, this.#buffer, this.#scales[row]!, MAX_GROUP_CODE, null);
    this.#write(row, values, at);
  }

  improve(row: number, pull: Float64Array, values: Float64Array, at: number): boolean {
    const slot = row * this.#groups + this.#group;
    const before = this.#before;
    const own = row * this.#columns + this.#starts[this.#group]!;
    for (let i = 0; i < before.first.length; i++) {
      before.first[i] = this.first.codes[own + i]!;
      before.second[i] = this.second.codes[own + i]!;
    }
    before.firstCode = this.first.groupCodes[slot]!;
    before.secondCode = this.second.groupCodes[slot]!;
    targetOfPull(this.#metric, pull, this.#buffer);
    if (!this.#search.solve(this.#buffer, pull, this.#scales[row]!, MAX_GROUP_CODE, before)) return false;
    this.#write(row, values, at);
    return true;
  }

  trial(): TrialGrid {
    const grid = new TwoPlaneGrid(this.#scales, this.#starts);
    const keep = (row: number, group: number) => {
      const slot = row * this.#groups + group;
      const start = row * this.#columns + this.#starts[group]!;
      const end = row * this.#columns + this.#starts[group + 1]!;
      for (const plane of ['first', 'second'] as const) {
        this[plane].groupCodes[slot] = grid[plane].groupCodes[slot]!;
        this[plane].codes.set(grid[plane].codes.subarray(start, end), start);
      }
    };
    return { grid, keep };
  }

  #write(row: number, values: Float64Array, at: number): void {
    const { first, second, firstCode, secondCode } = this.#search.point;
    const slot = row * this.#groups + this.#group;
    const scale = this.#scales[row]!;
    const own = row * this.#columns + this.#starts[this.#group]!;
    this.first.groupCodes[slot] = firstCode;
    this.second.groupCodes[slot] = secondCode;
    for (let i = 0; i < first.length; i++) {
      this.first.codes[own + i] = first[i]!;
      this.second.codes[own + i] = second[i]!;
      values[at + i] = (first[i]! * firstCode + second[i]! * secondCode) * scale;
    }
  }
}
