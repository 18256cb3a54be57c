import type { LayerRule, Recipe, ResolvedRecipe } from '@tritforge/contracts';
import { resolveRecipe } from '@tritforge/contracts';
import type { Layer } from '../layers/layer.js';
import { planLayers } from '../layers/plan-layers.js';
import { INT8, indexOfPrecision, kindOf, type Unit, type WeightPrecision } from './precisions.js';
import type { Assignment } from './tracing.js';

/** The recipe of one precision for all layers: that of a network without a search. */
export function singleRecipe(recipe: ResolvedRecipe, precision: WeightPrecision): Recipe {
  const { groupSize } = precision;
  const kind = kindOf(precision);
  const method = kind === 'ternary' || kind === 'twoPlanes' ? 'fgq' : kind;
  const { artifacts, activations, correction, equalize, layers, seed, weights } = recipe;
  return {
    method,
    weights: {
      solver: weights.solver,
      target: weights.target,
      ...(groupSize !== null && { groupSize }),
    },
    activations,
    correction,
    ...(equalize && { equalize }),
    ...(layers.length > 0 && { layers }),
    artifacts,
    seed,
  };
}

/** What a recipe makes of the units. Units that get none of their precisions have the largest. */
export function assignmentOf(recipe: Recipe, layers: readonly Layer[], units: readonly Unit[]): Assignment {
  const plan = new Map(planLayers(layers, resolveRecipe(recipe)).map(({ layer, applied }) => [layer, applied]));
  return units.map((unit) => {
    const { bits, groupSize, planes } = plan.get(unit.layers[0])!;
    const index = indexOfPrecision(unit, { bits, groupSize, planes: planes ?? null });
    return index < 0 ? unit.precisions.length - 1 : index;
  });
}

/**
 * The recipe without a search that gives each unit its precision: the most frequent one for all layers, and rules for the
 * others, before the rules that were there.
 */
export function recipeOf(
  assignment: Assignment,
  recipe: ResolvedRecipe,
  layers: readonly Layer[],
  units: readonly Unit[],
): Recipe {
  const base = singleRecipe(recipe, mostFrequent(assignment, units));
  const usual = assignmentOf(base, layers, units);
  const rules = units.flatMap(({ layers: sharing, precisions }, i): LayerRule[] => {
    if (usual[i] === assignment[i]) return [];
    const set = settingsOf(precisions[assignment[i]!]!);
    return sharing.map(({ node }) => ({ match: { name: node.name }, set }));
  });
  const all = [...rules, ...recipe.layers];
  return { ...base, ...(all.length > 0 && { layers: all }) };
}

/** What a rule sets to ask for a precision. */
export function settingsOf({ bits, groupSize, planes }: WeightPrecision): LayerRule['set'] {
  const hasGroups = groupSize !== null || bits === 2;
  return { bits, ...(hasGroups && { groupSize }), ...(planes !== null && { planes }) };
}

function mostFrequent(assignment: Assignment, units: readonly Unit[]): WeightPrecision {
  const counts = new Map<string, { precision: WeightPrecision; count: number }>();
  for (const [i, { precisions }] of units.entries()) {
    const precision = precisions[assignment[i]!]!;
    // Second planes are for rules.
    const plain = precision.planes === 2 ? { ...precision, planes: 1 as const } : precision;
    const key = Object.values(plain).join();
    counts.set(key, { precision: plain, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count)[0]?.precision ?? INT8;
}
