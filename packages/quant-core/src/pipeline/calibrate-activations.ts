import { type ResolvedRecipe, TritforgeError } from '@tritforge/contracts';
import type { ActivationPlan } from '../activations/plan-activations.js';
import type { ActivationScale } from '../artifact/build-graph.js';
import { calibrate } from '../calibrate/index.js';
import type { Model } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import type { QuantizeContext, QuantizeRequest } from '../quantize-request.js';
import type { JobData } from './job-data.js';
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
  const { activations, data, request, context, meter } = step;
  if (activations.observed.length === 0) return { scales: new Map(), eightBitScales: new Map() };
  if (data.calibration === null) throw calibrationRequired(step.layers);
  const { ranges, eightBitRanges } = await calibrate({
    model: step.prepared,
    values: activations.observed,
    nonNegative: activations.nonNegative,
    maxCodes: activations.maxCodes,
    dataset: data.calibration.dataset,
    feedPlan: data.calibration.feedPlan,
    runtime: context.runtime,
    scratchDir: request.scratchDir,
    range: step.recipe.activations.range,
    memoryCapBytes: request.memoryCapBytes,
    maxSamples: request.maxCalibrationSamples,
    onProgress: (done, total) => meter.done(done, total),
    signal: context.signal,
  });
  const missing = activations.observed.find((name) => !ranges.has(name));
  if (missing !== undefined) {
    throw new TritforgeError(
      'MODEL_UNSUPPORTED_DTYPE',
      `The value ${missing} feeds a layer and is not a floating-point tensor`,
      {
        remediation: 'Exclude the layer with a rule of the recipe.',
      },
    );
  }
  return { scales: ranges, eightBitScales: eightBitRanges };
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
