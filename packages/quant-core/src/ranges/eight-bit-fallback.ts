import type { ResolvedRecipe } from '@tritforge/contracts';
import { layerInput } from '../activations/activation-bits.js';
import type { ActivationPlan } from '../activations/plan-activations.js';
import type { ValueRange } from '../calibrate/value-range.js';
import type { PlannedLayer } from '../layers/layer.js';
import { rulesFor } from '../layers/plan-layers.js';
import type { RangeErrors } from './measure-ranges.js';
import type { Trials } from './trial-graph.js';

/** What is known about the ranges of values with 4 or 2 bits. */
export interface MeasuredRanges {
  readonly plan: ActivationPlan;
  readonly trials: Trials;
  readonly errors: RangeErrors;
  /** The range that a value gets with as few bits as planned, one of its trials. */
  readonly chosen: (value: string) => ValueRange;
}

/**
 * The layers, those with 8-bit inputs whose results have less signal to noise than the recipe's limit when their inputs have 4 or 2
 * bits: the noise of the inputs alone, as measured. A rule that asks for so few is followed whatever it costs.
 */
export function fallBackTo8Bits(
  layers: readonly PlannedLayer[],
  measured: MeasuredRanges,
  recipe: ResolvedRecipe,
): PlannedLayer[] {
  const limitDb = recipe.activations.minimumSqnrDb;
  return layers.map((planned) => {
    const sqnrDb = outputSqnrDb(planned, measured);
    if (limitDb === null || sqnrDb === null || sqnrDb >= limitDb) return planned;
    const { activationBits } = planned.applied;
    if (rulesFor(planned.layer, recipe).activationBits === activationBits) return planned;
    const why = `8-bit activations: with ${activationBits} bits the output has ${sqnrDb.toFixed(1)} dB of signal to noise, below ${limitDb}`;
    return {
      ...planned,
      applied: { ...planned.applied, activationBits: 8 },
      reason: planned.reason === null ? why : `${planned.reason}; ${why}`,
    };
  });
}

/** Null for layers whose inputs have 8 bits or none, and for those whose results are zero throughout. */
function outputSqnrDb({ layer, applied }: PlannedLayer, measured: MeasuredRanges): number | null {
  const value = layerInput(measured.plan, layer.node)?.rangeOf;
  if (applied.activationBits === null || applied.activationBits === 8 || value === undefined) return null;
  const user = measured.errors.get(value)?.find(({ node }) => node === layer.node);
  if (user === undefined || !(user.signal > 0)) return null;
  const noise = user.noises[measured.trials.get(value)!.indexOf(measured.chosen(value))]!;
  return 10 * Math.log10(user.signal / noise);
}
