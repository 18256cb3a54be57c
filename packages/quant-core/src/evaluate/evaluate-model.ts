import type { Metric as MetricName } from '@tritforge/contracts';
import { firstRun } from '../calibrate/sample-runs.js';
import type { Dataset } from '../data/dataset.js';
import { planFeeds } from '../data/feed-plan.js';
import type { Runtime } from '../runtime/runtime.js';
import { finiteValue } from './compare-accuracy.js';
import { compareLatency, cpuName, type Latency } from './latency.js';
import { scoreModels } from './score-models.js';

export interface EvaluationRequest {
  /** An .onnx file, its external data beside it. */
  readonly modelPath: string;
  readonly dataset: Dataset;
  readonly metric?: MetricName | undefined;
  readonly runtime: Runtime;
  /** Default 1. */
  readonly threads?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Evaluation {
  readonly metric: MetricName;
  readonly value: number;
  /** Name of the output that was scored. */
  readonly output: string;
  readonly samples: number;
  /** Name and version of what ran the model. */
  readonly engine: string;
  readonly latency: Latency & {
    readonly runs: number;
    readonly threads: number;
    readonly batch: number;
    readonly cpu: string;
  };
}

/**
 * Scores one model on a dataset, and times it on the first sample.
 * @throws TritforgeError DATASET_NAME_MISMATCH, DATASET_SHAPE_MISMATCH, DATASET_DTYPE_MISMATCH when the dataset does
 * not fit, METRIC_UNSUPPORTED or DATASET_LABELS_MISSING when the metric cannot be computed, MODEL_RUN_FAILED
 */
export async function evaluateModel(request: EvaluationRequest): Promise<Evaluation> {
  const { modelPath, dataset, runtime, threads = 1, ...rest } = request;
  const session = await runtime.load(modelPath, { threads, optimization: 'all' });
  try {
    const feedPlan = planFeeds(session.inputs, dataset.summary, dataset.preprocess);
    const { scoring, samples, models } = await scoreModels({
      ...rest,
      dataset,
      feedPlan,
      sessions: [session],
      firstIsReference: false,
    });
    const { feeds } = await firstRun(dataset, feedPlan);
    const { runs, results } = await compareLatency([{ name: 'model', session, feeds }], { signal: rest.signal });
    return {
      metric: scoring.metric.name,
      value: finiteValue(scoring.metric, models[0]!.metric),
      output: scoring.output,
      samples,
      engine: runtime.engine,
      latency: { ...results.get('model')!, runs, threads, batch: feedPlan.runSamples ?? 1, cpu: cpuName() },
    };
  } finally {
    await session.release();
  }
}
