/**
 * The frontier of an additive model: which choices have the least total damage for their total size.
 *
 *   minimise  Σ damage + λ · Σ bytes        for every λ ≥ 0
 *
 * For a given λ the choices of units do not depend on each other, and as λ falls each unit walks along the lower convex hull of
 * its options. So all solutions are found by sorting the steps of all hulls by their steepness. Source: Lagrangian relaxation of
 * the multiple-choice knapsack problem, Shoham and Gersho, 1988.
 */

/** What one choice costs. */
export interface Option {
  readonly bytes: number;
  readonly damage: number;
}

/** For each unit the index of its option. */
export type Assignment = readonly number[];

/** @returns solutions from the smallest to the one with the least damage; each differs from the one before in one unit */
export function traceFrontier(units: readonly (readonly Option[])[]): Assignment[] {
  const hulls = units.map(lowerHull);
  const steps = hulls.flatMap((hull, unit) => {
    const options = units[unit]!;
    return hull.slice(1).map((to, i) => ({ unit, to, gain: steepness(options[hull[i]!]!, options[to]!), i }));
  });
  // Steps of one unit become flatter one by one, so that a stable order keeps theirs.
  steps.sort((a, b) => b.gain - a.gain || a.unit - b.unit || a.i - b.i);
  let current: Assignment = hulls.map((hull) => hull[0]!);
  const found = [current];
  for (const { unit, to } of steps) {
    current = current.with(unit, to);
    found.push(current);
  }
  return found;
}

/** Indices of the options of one unit that are best for some λ, small ones first. */
function lowerHull(options: readonly Option[]): number[] {
  const order = options.map((_, i) => i).sort((a, b) => compareOptions(options[a]!, options[b]!));
  const hull: number[] = [];
  for (const next of order) {
    const option = options[next]!;
    if (hull.length > 0 && option.damage >= options[hull.at(-1)!]!.damage) continue;
    while (hull.length > 1) {
      const [before, last] = [options[hull.at(-2)!]!, options[hull.at(-1)!]!];
      if (steepness(before, last) > steepness(last, option)) break;
      hull.pop();
    }
    hull.push(next);
  }
  return hull;
}

function compareOptions(a: Option, b: Option): number {
  return a.bytes - b.bytes || a.damage - b.damage;
}

/** Damage saved per byte. */
function steepness(from: Option, to: Option): number {
  return (from.damage - to.damage) / (to.bytes - from.bytes);
}

/** Total size and damage of an assignment. */
export function totalOf(units: readonly (readonly Option[])[], assignment: Assignment): Option {
  const chosen = assignment.map((index, unit) => units[unit]![index]!);
  return {
    bytes: chosen.reduce((sum, { bytes }) => sum + bytes, 0),
    damage: chosen.reduce((sum, { damage }) => sum + damage, 0),
  };
}
