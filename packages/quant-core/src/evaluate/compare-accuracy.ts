import type { AccuracyReport, Metric as MetricName } from '@tritforge/contracts';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import type { Session } from '../runtime/runtime.js';
import type { Accumulator, Metric } from './metric.js';
import { scoreModels } from './score-models.js';
import { standardError } from './statistics.js';

export interface AccuracyRequest {
  readonly original: Session;
  readonly quantized: Session;
  /** The int8 baseline, where there is one. */
  readonly int8?: Session | null | undefined;
  readonly dataset: Dataset;
  /** How the dataset's arrays go into the inputs, which all models share. */
  readonly feedPlan: FeedPlan;
  /** Chosen from labels and outputs when left out; see `chooseMetric`. */
  readonly metric?: MetricName | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Scores the models on the same samples in one pass. `drop` is positive when the quantized model is worse, in the unit
 * of the metric; its standard error comes from the differences per sample, which leave out what the models have in
 * common. Without labels to go by, a metric measures the distance to the original, which is then perfect.
 * @throws TritforgeError DATASET_EMPTY, METRIC_UNSUPPORTED, DATASET_LABELS_MISSING, DATASET_LABELS_INVALID,
 * MODEL_RUN_FAILED
 */
export async function compareAccuracy(request: AccuracyRequest): Promise<AccuracyReport> {
  const { original, quantized, int8, ...rest } = request;
  const { scoring, samples, models } = await scoreModels({
    ...rest,
    sessions: [original, quantized, ...(int8 ? [int8] : [])],
    firstIsReference: true,
  });
  const { metric } = scoring;
  const [first, second, third] = models;
  const originalValue = finiteValue(metric, first!.metric);
  const quantizedValue = finiteValue(metric, second!.metric);
  return {
    metric: metric.name,
    samples,
    original: originalValue,
    int8: third ? finiteValue(metric, third.metric) : null,
    quantized: quantizedValue,
    drop: metric.higherIsBetter ? originalValue - quantizedValue : quantizedValue - originalValue,
    pairedStandardError: pairedError(first!.metric, second!.metric),
    agreement: second!.agreement?.value() ?? null,
  };
}

/** Reports are JSON: a model whose outputs are NaN, or whose perplexity overflows, gets the worst finite number. */
export function finiteValue(metric: Metric, accumulator: Accumulator): number {
  const value = accumulator.value();
  if (Number.isFinite(value)) return value;
  return metric.higherIsBetter ? 0 : Number.MAX_VALUE;
}

function pairedError(original: Accumulator, quantized: Accumulator): number | null {
  const before = original.scores();
  const after = quantized.scores();
  const error = standardError(before.map((score, i) => score - (after[i] as number)));
  return error !== null && Number.isFinite(error) ? error : null;
}
