import type { Family, Shape } from './families.js';
import type { Absence, Measurement, Timing, Trial } from './trial.js';

/** Times with caches as the last run left them, or empty. */
export type Temperature = 'warm' | 'cold';

/** One candidate on one shape over all trials. */
export interface Figure {
  readonly candidate: string;
  readonly detail: string;
  /** Median over the trials of the median of each, microseconds. */
  readonly medianUs: number;
  readonly minimumUs: number;
  /** Half of the range of the trials' medians, relative to the median. */
  readonly spread: number;
  /** The median of each trial. */
  readonly trialsUs: readonly number[];
}

/** One row: a shape and its candidates, by name. */
export interface Row {
  readonly shape: Shape;
  readonly figures: ReadonlyMap<string, Figure>;
}

/** A family at one temperature. */
export interface Table {
  readonly family: Family;
  readonly temperature: Temperature;
  readonly rows: readonly Row[];
}

/** Columns of Tritforge's own kernels, in the order of the tables. */
const OWN = ['ternary × 8 bit', 'ternary × 4 bit', 'ternary, fp32 in and out', '2 × 2 bit', 'int8'];
/** Stands between the column and the layout of a candidate that dispatch did not choose. */
const LAYOUT_MARK = ' · ';
/** Layers that stay int8 enter the sum of a network with this one. */
const OWN_INT8 = 'int8';

/** Unique id of a shape in the plan. */
export function shapeKey(family: Family, shape: Shape): string {
  return `${family.title} | ${shape.id}`;
}

/** The tables of a family: warm, and cold where something was measured cold. */
export function tablesOf(family: Family, trials: readonly Trial[]): Table[] {
  const temperatures: readonly Temperature[] = ['warm', 'cold'];
  return temperatures
    .map((temperature) => ({ family, temperature, rows: rowsOf(family, temperature, trials) }))
    .filter(({ rows }) => rows.some(({ figures }) => figures.size > 0));
}

function rowsOf(family: Family, temperature: Temperature, trials: readonly Trial[]): Row[] {
  return family.shapes.map((shape) => {
    const key = shapeKey(family, shape);
    const byCandidate = new Map<string, Measurement[]>();
    for (const measurement of trials.flatMap(({ measurements }) => measurements)) {
      if (measurement.shape !== key || measurement[temperature] === null) continue;
      byCandidate.set(measurement.candidate, [...(byCandidate.get(measurement.candidate) ?? []), measurement]);
    }
    const figures = [...byCandidate].map(([name, found]) => [name, figure(name, found, temperature)] as const);
    return { shape, figures: new Map(figures) };
  });
}

function figure(candidate: string, measurements: readonly Measurement[], temperature: Temperature): Figure {
  const timings = measurements.map((measurement) => measurement[temperature] as Timing);
  const trialsUs = timings.map(({ medianUs }) => medianUs);
  const medianUs = median(trialsUs);
  return {
    candidate,
    detail: measurements[0]!.detail,
    medianUs,
    minimumUs: Math.min(...timings.map(({ minimumUs }) => minimumUs)),
    spread: (Math.max(...trialsUs) - Math.min(...trialsUs)) / 2 / medianUs,
    trialsUs,
  };
}

/** Names of the candidates of a table: Tritforge's, and the peers in the order of the row that has most. */
export function columnsOf({ rows }: Table): { own: string[]; peers: string[] } {
  const byCount = rows.toSorted((a, b) => b.figures.size - a.figures.size);
  const all = [...new Set(byCount.flatMap(({ figures }) => [...figures.keys()]))];
  const own = OWN.flatMap((column) => all.filter((name) => columnOf(name) === column));
  return { own, peers: all.filter((name) => !own.includes(name)) };
}

/** Without the layout that a candidate may name besides. */
function columnOf(candidate: string): string {
  return candidate.split(LAYOUT_MARK)[0]!;
}

/** How many times as fast as the peer: the median of the trials' ratios of medians, or null where one is missing. */
export function speedup({ figures }: Row, own: string, peer: string): number | null {
  const [mine, theirs] = [figures.get(own), figures.get(peer)];
  if (mine === undefined || theirs === undefined) return null;
  const trials = Math.min(mine.trialsUs.length, theirs.trialsUs.length);
  return median(Array.from({ length: trials }, (_, i) => theirs.trialsUs[i]! / mine.trialsUs[i]!));
}

/** Geometric mean of {@link speedup} over the rows that have both, or null when none has. */
export function meanSpeedup(table: Table, own: string, peer: string): number | null {
  const ratios = speedups(table, own, peer);
  if (ratios.length === 0) return null;
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}

/** {@link speedup} of the rows that have both. */
export function speedups({ rows }: Table, own: string, peer: string): number[] {
  return rows.map((row) => speedup(row, own, peer)).filter((ratio) => ratio !== null);
}

/**
 * The time of all shapes with their counts, microseconds, or null when something is missing. Tritforge's layers that
 * stay int8 count with its int8 kernel.
 */
export function networkUs({ rows }: Table, candidate: string): number | null {
  let sum = 0;
  for (const { shape, figures } of rows) {
    const found = figures.get(candidate) ?? (OWN.includes(columnOf(candidate)) ? figures.get(OWN_INT8) : undefined);
    if (found === undefined) return null;
    sum += shape.count * found.medianUs;
  }
  return sum;
}

/** Each reason for which a candidate was missing, once. */
export function reasonsOf(trials: readonly Trial[]): string[] {
  const all = trials.flatMap(({ absences }) => absences);
  const reason = ({ candidate, absent }: Absence) => `${candidate}: ${absent}`;
  return [...new Set(all.map(reason))].sort();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
