import { type ResolvedRecipe, TritforgeError } from '@tritforge/contracts';
import { assignBits, settleActivationBits, withoutBranches } from '../activations/activation-bits.js';
import type { ActivationPlan } from '../activations/plan-activations.js';
import type { ActivationScale } from '../artifact/build-graph.js';
import type { Histogram } from '../calibrate/histogram.js';
import { calibrate, type MaxCode } from '../calibrate/index.js';
import type { ValueRange } from '../calibrate/value-range.js';
import type { Model } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import { fallBackTo8Bits, type MeasuredRanges } from '../ranges/eight-bit-fallback.js';
import { measureRanges, type RangeErrors } from '../ranges/measure-ranges.js';
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
  readonly meter: Pick<ProgressMeter, 'done'>;
}

/** The quantization of all activations; empty when the recipe quantizes weights only. */
export interface CalibratedActivations {
  /** Those of the step, with the bits that their inputs have in the end. */
  readonly layers: readonly PlannedLayer[];
  readonly activations: ActivationPlan;
  /** By the value that is observed. */
  readonly scales: ReadonlyMap<string, ActivationScale>;
  /** Those of the int8 model that results are compared with: 8 bits for all. */
  readonly eightBitScales: ReadonlyMap<string, ActivationScale>;
}

/**
 * Ranges of all quantized activations, and 8 bits where 4 or 2 turn out to cost a layer too much.
 * @throws TritforgeError CALIBRATION_REQUIRED without data, MODEL_NONFINITE_ACTIVATIONS, MODEL_RUN_FAILED
 */
export async function calibrateActivations(step: CalibrationStep): Promise<CalibratedActivations> {
  const { data } = step;
  const { observed } = step.activations;
  if (observed.length === 0) {
    const { layers, activations } = step;
    return { layers, activations, scales: new Map(), eightBitScales: new Map() };
  }
  if (data.calibration === null) throw calibrationRequired(step.layers);
  const trials = trialsOf(step, await observe(step, data.calibration));
  const errors = mustMeasure(step) ? await measure(step, data.calibration, trials) : null;
  const best = (value: string, maxCode: MaxCode): ValueRange =>
    errors === null
      ? trials.get(value)!.find((trial) => trial.maxCode === maxCode)!
      : leastDamage(errors.get(value)!, trials.get(value)!, maxCode);
  const { layers, activations } =
    errors === null
      ? step
      : settle(step, {
          plan: step.activations,
          trials,
          errors,
          chosen: (value) => best(value, step.activations.maxCodes.get(value)!),
        });
  // A layer that has parted from one that fell back goes on with the range that was found for both.
  const triedAs = (value: string) => (trials.has(value) ? value : rangeOfSource(activations, value));
  return {
    layers,
    activations,
    scales: new Map(
      activations.observed.map((value) => [value, best(triedAs(value), activations.maxCodes.get(value)!)]),
    ),
    eightBitScales: new Map(withoutBranches(activations).observed.map((value) => [value, best(value, 255)])),
  };
}

/** Whether there is something to choose by measurement: a range, or between few bits and 8. */
function mustMeasure({ activations, recipe }: CalibrationStep): boolean {
  const { range, minimumSqnrDb } = recipe.activations;
  return (
    range === 'auto' || (minimumSqnrDb !== null && [...activations.maxCodes.values()].some((maxCode) => maxCode < 255))
  );
}

/** The plan after layers have fallen back to 8 bits, and others with them that take the same values. */
function settle(
  { layers, activations, recipe }: CalibrationStep,
  measured: MeasuredRanges,
): Pick<CalibratedActivations, 'layers' | 'activations'> {
  const judged = fallBackTo8Bits(layers, measured, recipe);
  const settled = assignBits(activations, judged, recipe.activations.shortcuts);
  return { layers: settleActivationBits(judged, settled), activations: settled };
}

async function observe(
  step: CalibrationStep,
  { dataset, feedPlan }: JobDataset,
): Promise<ReadonlyMap<string, Histogram>> {
  const { prepared, activations, request, context, meter } = step;
  const measures = mustMeasure(step);
  const { histograms } = await calibrate({
    model: prepared,
    values: [...new Set(activations.observed.map((value) => sourceOf(activations, value)))],
    dataset,
    feedPlan,
    runtime: context.runtime,
    scratchDir: request.scratchDir,
    memoryCapBytes: request.memoryCapBytes,
    maxSamples: request.maxCalibrationSamples,
    onProgress: (done, total) => meter.done(done, measures ? 2 * total : total),
    signal: context.signal,
  });
  const missing = activations.observed.find((name) => !histograms.has(sourceOf(activations, name)));
  if (missing === undefined) return histograms;
  throw new TritforgeError(
    'MODEL_UNSUPPORTED_DTYPE',
    `The value ${missing} feeds a layer and is not a floating-point tensor`,
    { remediation: 'Exclude the layer with a rule of the recipe.' },
  );
}

/** The value of the graph whose values count. */
function sourceOf({ values }: ActivationPlan, value: string): string {
  return values.get(value)?.source ?? value;
}

function rangeOfSource(activations: ActivationPlan, value: string): string {
  return activations.values.get(sourceOf(activations, value))!.rangeOf;
}

/** What is considered for each value: with 8 bits, for the int8 model at least, and with fewer where layers ask for them. */
function trialsOf({ activations, recipe }: CalibrationStep, histograms: ReadonlyMap<string, Histogram>): Trials {
  const { range } = recipe.activations;
  return new Map(
    activations.observed.map((value) => {
      const histogram = histograms.get(sourceOf(activations, value))!;
      const nonNegative = activations.nonNegative.has(value);
      const candidates = (maxCode: MaxCode) => rangeCandidates(histogram, range, { nonNegative, maxCode });
      const maxCode = activations.maxCodes.get(value)!;
      const isBranch = activations.values.get(value)!.source !== undefined;
      return [value, [...(isBranch ? [] : candidates(255)), ...(maxCode === 255 ? [] : candidates(maxCode))]];
    }),
  );
}

function measure(
  { prepared, activations, request, context, meter }: CalibrationStep,
  { dataset, feedPlan }: JobDataset,
  trials: Trials,
): Promise<RangeErrors> {
  return measureRanges({
    model: prepared,
    plan: activations,
    trials,
    dataset,
    feedPlan,
    runtime: context.runtime,
    scratchDir: request.scratchDir,
    maxSamples: request.maxCalibrationSamples,
    onProgress: (done, total) => meter.done(total + done, 2 * total),
    signal: context.signal,
  });
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
