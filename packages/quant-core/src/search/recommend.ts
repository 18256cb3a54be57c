/** What measured sensitivities say in the end: about each layer, and which rules would help most. */
import {
  completeRecipe,
  type LayerReport,
  type LayerRule,
  type Recommendation,
  type ResolvedRecipe,
} from '@tritforge/contracts';
import type { PlannedLayer } from '../layers/layer.js';
import type { Damage } from '../layers/second-planes.js';
import { rankCauses, shiftNoise } from './causes.js';
import { settingsOf } from './choice-recipe.js';
import { expectedOptions } from './expected-damage.js';
import { indexOfPrecision, storedByteLength, type Unit } from './precisions.js';
import type { Sensitivities, UnitSensitivity } from './sensitivity.js';
import { type Assignment, type Option, totalOf, traceFrontier } from './tracing.js';

/** Means of the columns of each convolution group of a layer's input, in the quantized network. */
export type InputMeans = ReadonlyMap<PlannedLayer['layer']['node'], readonly Float64Array[]>;

/** A patch is to leave so much of the damage. */
const REMAINING_SHARE = 0.5;
/** Share of all damage from which on the input of a layer is worth more bits. */
const NOTABLE_INPUT_SHARE = 0.1;

/** What a report says about a layer, as far as it was measured. */
export function explainLayer(
  { layer, applied }: PlannedLayer,
  { units }: Sensitivities,
  means: InputMeans,
): Pick<LayerReport, 'sensitivity' | 'damages' | 'causes'> {
  const found = units.find(({ unit }) => unit.layers[0].node === layer.node);
  if (found === undefined) return { sensitivity: null };
  const index = appliedIndex(found.unit, applied);
  const own = found.candidates[index];
  const shift = means.get(layer.node);
  return {
    sensitivity: own?.damage ?? null,
    damages: [
      ...found.candidates.map(({ precision, damage, bytes }) => ({
        precision: { ...precision, activationBits: null },
        damage,
        bytes,
      })),
      ...inputDamage(found, applied),
    ],
    causes: rankCauses({
      ...own?.noise,
      ...found.inputNoise,
      ...(shift !== undefined && found.statistics !== null && shiftNoise(shift, found.statistics)),
    }),
  };
}

function inputDamage({ unit, inputDamage: damage }: UnitSensitivity, { activationBits }: PlannedLayer['applied']) {
  if (damage === null || activationBits === null) return [];
  const precision = { bits: null, groupSize: null, planes: null, activationBits };
  return [{ precision, damage, bytes: storedByteLength(unit.layers[0].layout, { ...precision, planes: null }) }];
}

/**
 * The rules that halve the expected damage for the fewest bytes.
 * @param plan what was applied
 * @param recipe that led to it
 */
export function recommend(
  { measure, samples, units }: Sensitivities,
  plan: readonly PlannedLayer[],
  recipe: ResolvedRecipe,
): Recommendation {
  const appliedTo = new Map(plan.map(({ layer, applied }) => [layer.node, applied]));
  const known = units.filter(({ unit }) => appliedIndex(unit, appliedTo.get(unit.layers[0].node)!) >= 0);
  const options = known.map(expectedOptions);
  const current = known.map(({ unit }) => appliedIndex(unit, appliedTo.get(unit.layers[0].node)!));
  const before = totalOf(options, current);
  const inputs = known.map((found) => coarseInput(found, appliedTo.get(found.unit.layers[0].node)!));
  const damage = before.damage + inputs.reduce((sum, value) => sum + value, 0);
  const wanted = improve(options, current, REMAINING_SHARE * before.damage);
  const after = totalOf(options, wanted);
  const finer = inputs.map((value) => value > NOTABLE_INPUT_SHARE * damage);
  const patch = known.flatMap(({ unit }, i): LayerRule[] => {
    const set: LayerRule['set'] = {
      ...(wanted[i] !== current[i] && settingsOf(unit.precisions[wanted[i]!]!)),
      ...(finer[i] && { activationBits: 8 }),
    };
    if (Object.keys(set).length === 0) return [];
    return unit.layers.map(({ node }) => ({ match: { name: node.name }, set }));
  });
  const finerGain = inputs.reduce((sum, value, i) => sum + (finer[i] ? value : 0), 0);
  const { sensitivity: _, ...complete } = completeRecipe(recipe);
  return {
    measure,
    samples,
    damage,
    patch,
    predictedGain: before.damage - after.damage + finerGain,
    addedBytes: after.bytes - before.bytes,
    recipe: { ...complete, layers: [...recipe.layers, ...patch] },
  };
}

/** The damage of an input of 4 or 2 bits; that of 8 bits is what a recipe cannot do without. */
function coarseInput({ inputDamage: damage }: UnitSensitivity, { activationBits }: PlannedLayer['applied']): number {
  return activationBits === 4 || activationBits === 2 ? (damage ?? 0) : 0;
}

/** Expected damage of each weight as planned. */
export function damageOf(plan: readonly PlannedLayer[], { units }: Sensitivities): Damage {
  const appliedTo = new Map(plan.map(({ layer, applied }) => [layer.node, applied]));
  return new Map(
    units.map((found) => {
      const index = appliedIndex(found.unit, appliedTo.get(found.unit.layers[0].node)!);
      return [found.unit.weight, expectedOptions(found)[index]?.damage ?? 0];
    }),
  );
}

/** Moves units to larger precisions until the damage is down to the given one, or nothing helps. */
function improve(options: readonly (readonly Option[])[], current: Assignment, damage: number): Assignment {
  const open = options.map((unit, i) =>
    unit.map((_, index) => index).filter((index) => isUpgrade(unit, current[i]!, index)),
  );
  const path = traceFrontier(open.map((indices, i) => indices.map((index) => options[i]![index]!)));
  const assignments = path.map((assignment) => assignment.map((at, i) => open[i]![at]!));
  return (
    assignments.find((assignment) => totalOf(options, assignment).damage <= damage) ?? assignments.at(-1) ?? current
  );
}

/** Whether the other option, or the same, takes no fewer bytes and does less damage. */
function isUpgrade(unit: readonly Option[], current: number, other: number): boolean {
  const [own, option] = [unit[current]!, unit[other]!];
  return other === current || (option.bytes > own.bytes && option.damage < own.damage);
}

function appliedIndex(unit: Unit, { bits, groupSize, planes }: PlannedLayer['applied']): number {
  return indexOfPrecision(unit, { bits, groupSize, planes: planes ?? null });
}
