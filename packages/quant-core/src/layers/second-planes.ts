/**
 * Which layers get a second ternary plane when the recipe gives a share of the weights to spend.
 *
 *   most damage per weight first, as long as the share lasts; a layer that is too large for the rest is passed over
 *
 * The damage of a layer is any number that grows with what one plane costs the network. Weights alone tell the relative squared
 * error: of a layer with inputs of equal variance that is the ratio of noise to signal in its output.
 */
import type { ResolvedRecipe } from '@tritforge/contracts';
import { dequantize, relativeError, ternarize, weightCount } from '../fgq/index.js';
import type { Tensor } from '../ir/index.js';
import type { PlannedLayer } from './layer.js';
import { rulesFor } from './plan-layers.js';
import { readRows } from './weight-rows.js';

/** Damage by weight, each layer that shares it included. */
export type Damage = ReadonlyMap<Tensor, number>;

/**
 * The plan with second planes for the share of the recipe, if it gives one.
 * @param measured damage to the network with one plane; what weights alone tell when left out
 */
export async function withSecondPlanes(
  plan: PlannedLayer[],
  recipe: ResolvedRecipe,
  measured?: (plan: readonly PlannedLayer[]) => Damage,
): Promise<PlannedLayer[]> {
  const { residualPlanes } = recipe.weights;
  if (typeof residualPlanes !== 'number' || residualPlanes === 0) return plan;
  return spendSecondPlanes(plan, recipe, measured?.(plan) ?? (await damageByWeightError(plan)));
}

/** The plan with second planes for the share of the recipe; layers whose rules say how many planes they have keep those. */
export function spendSecondPlanes(
  plan: readonly PlannedLayer[],
  recipe: ResolvedRecipe,
  damage: Damage,
): PlannedLayer[] {
  const { residualPlanes } = recipe.weights;
  if (typeof residualPlanes !== 'number') return [...plan];
  const ternary = distinct(plan.filter(isTernary));
  let left = residualPlanes * sizeOf(ternary) - sizeOf(ternary.filter(({ applied }) => applied.planes === 2));
  const perWeight = ({ layer }: PlannedLayer) => (damage.get(layer.weight) ?? 0) / weightCount(layer.layout);
  const chosen = new Set<Tensor>();
  for (const planned of candidates(ternary, plan, recipe).sort((a, b) => perWeight(b) - perWeight(a))) {
    const size = weightCount(planned.layer.layout);
    if (size > left) continue;
    chosen.add(planned.layer.weight);
    left -= size;
  }
  return plan.map((planned) => (chosen.has(planned.layer.weight) ? withSecondPlane(planned) : planned));
}

/** Relative squared error of each ternary weight with one plane. */
export async function damageByWeightError(plan: readonly PlannedLayer[]): Promise<Map<Tensor, number>> {
  const damage = new Map<Tensor, number>();
  for (const { layer, applied } of distinct(plan.filter(isTernary))) {
    const weights = await readRows(layer);
    damage.set(layer.weight, relativeError(weights, dequantize(ternarize(weights, layer.layout, applied.groupSize!))));
  }
  return damage;
}

/** Weights with one plane that no rule insists on. */
function candidates(
  ternary: readonly PlannedLayer[],
  plan: readonly PlannedLayer[],
  recipe: ResolvedRecipe,
): PlannedLayer[] {
  const settled = new Set(
    plan.filter(({ layer }) => rulesFor(layer, recipe).planes !== undefined).map(({ layer }) => layer.weight),
  );
  return ternary.filter(({ layer, applied }) => applied.planes === 1 && !settled.has(layer.weight));
}

function withSecondPlane({ requested, applied, ...planned }: PlannedLayer): PlannedLayer {
  return {
    ...planned,
    requested: requested.planes === 1 ? { ...requested, planes: 2 } : requested,
    applied: { ...applied, planes: 2 },
  };
}

function isTernary({ applied }: PlannedLayer): boolean {
  return applied.bits === 2 && applied.groupSize !== null;
}

/** One layer for each weight. */
function distinct(plan: readonly PlannedLayer[]): PlannedLayer[] {
  return [...new Map(plan.toReversed().map((planned) => [planned.layer.weight, planned])).values()].toReversed();
}

function sizeOf(plan: readonly PlannedLayer[]): number {
  return plan.reduce((sum, { layer }) => sum + weightCount(layer.layout), 0);
}
