import { type ResolvedRecipe, TritforgeError } from '@tritforge/contracts';
import type { ActivationPlan } from '../activations/plan-activations.js';
import type { ActivationScale } from '../artifact/build-graph.js';
import type { Histogram } from '../calibrate/histogram.js';
import { calibrate, type MaxCode } from '../calibrate/index.js';
import type { ValueRange } from '../calibrate/value-range.js';
import type { Model } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import { measureRanges } from '../ranges/measure-ranges.js';
import { leastDamage, rangeCandidates } from '../ranges/range-candidates.js';
import type { Trials } from '../ranges/trial-graph.js';
import type { JobData, JobDataset } from './job-data.js';
import type { ProgressMeter } from './progress-meter.js';

/** What calibration needs. */
export interface CalibrationStep {
  readonly prepared: Model;
  readonly layers: readonly PlannedLayer[];
  readonly activations: ActivationPlan;
  readonly recipe: ResolvedRecipe;
  readonly data: JobData;
  readonly request: QuantizeRequest;
  readonly context: QuantizeContext;
  readonly meter: ProgressMeter;
}

/** Scales by the value that is observed; empty when the recipe quantizes weights only. */
export interface ActivationScales {
  readonly scales: ReadonlyMap<string, ActivationScale>;
  /** Those of the int8 model that results are compared with: 8 bits for all. */
  readonly eightBitScales: ReadonlyMap<string, ActivationScale>;
}

/**
 * Scales of all quantized activations.
 * @throws TritforgeError CALIBRATION_REQUIRED without data, MODEL_NONFINITE_ACTIVATIONS, MODEL_RUN_FAILED
 */
export async function calibrateActivations(step: CalibrationStep): Promise<ActivationScales> {
  const { activations, data } = step;
  if (activations.observed.length === 0) return { scales: new Map(), eightBitScales: new Map() };
  if (data.calibration === null) throw calibrationRequired(step.layers);
  const histograms = await observe(step, data.calibration);
  const trials = trialsOf(step, histograms);
  const best = await chooser(step, data.calibration, trials);
  const eightBitScales = new Map(activations.observed.map((value) => [value, best(value, 255)]));
  const scales = new Map(activations.observed.map((value) => [value, best(value, activations.maxCodes.get(value)!)]));
  return { scales, eightBitScales };
}

async function observe(
  { prepared, activations, request, context, meter }: CalibrationStep,
  { dataset, feedPlan }: JobDataset,
): Promise<ReadonlyMap<string, Histogram>> {
  const { histograms } = await calibrate({
    model: prepared,
    values: activations.observed,
    dataset,
    feedPlan,
    runtime: context.runtime,
    scratchDir: request.scratchDir,
    memoryCapBytes: request.memoryCapBytes,
    maxSamples: request.maxCalibrationSamples,
    onProgress: (done, total) => meter.done(done, total),
    signal: context.signal,
  });
  const missing = activations.observed.find((name) => !histograms.has(name));
  if (missing === undefined) return histograms;
  throw new TritforgeError(
    'MODEL_UNSUPPORTED_DTYPE',
    `The value ${missing} feeds a layer and is not a floating-point tensor`,
    { remediation: 'Exclude the layer with a rule of the recipe.' },
  );
}

/** What is considered for each value: with 8 bits, for the int8 model at least, and with 4 where layers ask for it. */
function trialsOf({ activations, recipe }: CalibrationStep, histograms: ReadonlyMap<string, Histogram>): Trials {
  const { range } = recipe.activations;
  return new Map(
    activations.observed.map((value) => {
      const nonNegative = activations.nonNegative.has(value);
      const candidates = (maxCode: MaxCode) => rangeCandidates(histograms.get(value)!, range, { nonNegative, maxCode });
      return [value, [...candidates(255), ...(activations.maxCodes.get(value) === 15 ? candidates(15) : [])]];
    }),
  );
}

/** How to choose between the candidates: by measurement where there are several. */
async function chooser(
  { prepared, activations, recipe, request, context }: CalibrationStep,
  { dataset, feedPlan }: JobDataset,
  trials: Trials,
): Promise<(value: string, maxCode: MaxCode) => ValueRange> {
  if (recipe.activations.range !== 'auto')
    return (value, maxCode) => trials.get(value)!.find((trial) => trial.maxCode === maxCode)!;
  const errors = await measureRanges({
    model: prepared,
    plan: activations,
    trials,
    dataset,
    feedPlan,
    runtime: context.runtime,
    scratchDir: request.scratchDir,
    maxSamples: request.maxCalibrationSamples,
    signal: context.signal,
  });
  return (value, maxCode) => leastDamage(errors.get(value)!, trials.get(value)!, maxCode);
}

function calibrationRequired(layers: readonly PlannedLayer[]): TritforgeError {
  const count = layers.filter(({ applied }) => applied.activationBits !== null).length;
  return new TritforgeError(
    'CALIBRATION_REQUIRED',
    `The recipe quantizes the activations of ${count} layers and there is no calibration dataset`,
    {
      field: 'datasets.calibration',
      remediation:
        'Send some tens of typical samples, or set recipe.activations.bits to null to quantize weights only.',
    },
  );
}
