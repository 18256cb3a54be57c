/**
 * What the operators that decode one weight add to a file, beyond those of int8, told by the sizes of two files.
 *
 *   (size with all units of a kind − size with one of them − difference of their stored bytes) / (units − 1)
 *
 * In small networks that is as much as the codes: a tiny layer may take less room as int8.
 */
import type { WeightKind } from './precisions.js';
import type { SearchOption, SearchProblem } from './search-precisions.js';
import { type Assignment, totalOf } from './tracing.js';

/** Bytes per weight of each kind; 0 where too few units can have it. */
export async function operatorBytes({
  units,
  sizeOf,
}: Pick<SearchProblem, 'units' | 'sizeOf'>): Promise<Record<WeightKind, number>> {
  const added: Record<WeightKind, number> = { int8: 0, int4: 0, uniform: 0, ternary: 0, twoPlanes: 0 };
  for (const kind of ['int4', 'ternary', 'twoPlanes'] as const) {
    const having = units.flatMap((options, unit) => (indexOf(options, kind) < 0 ? [] : [unit]));
    if (having.length < 2) continue;
    const [all, one] = [assign(units, kind, having), assign(units, kind, having.slice(0, 1))];
    const operators = async (assignment: Assignment) =>
      (await sizeOf(assignment)).sizeBytes - totalOf(units, assignment).bytes;
    added[kind] = ((await operators(all)) - (await operators(one))) / (having.length - 1);
  }
  return added;
}

/** The given units with the kind, all others with their largest option. */
function assign(units: SearchProblem['units'], kind: WeightKind, chosen: readonly number[]): Assignment {
  return units.map((options, unit) => (chosen.includes(unit) ? indexOf(options, kind) : options.length - 1));
}

function indexOf(options: readonly SearchOption[], kind: WeightKind): number {
  return options.findIndex((option) => option.kind === kind);
}
