import type { Metric as MetricName } from '@tritforge/contracts';
import { firstRun, sampleRuns } from '../calibrate/sample-runs.js';
import { throwIfCanceled } from '../cancellation.js';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import { type FeedRun, trimPadding } from '../data/feeds.js';
import type { HostTensor, Session } from '../runtime/runtime.js';
import { chooseMetric, type Scoring } from './choose-metric.js';
import type { Accumulator } from './metric.js';
import { agreement } from './metrics/agreement.js';

export interface ScoringRequest {
  /** The models; all have the inputs and outputs of the first. */
  readonly sessions: readonly [Session, ...Session[]];
  /** Whether the first is the original that others are compared with. */
  readonly firstIsReference: boolean;
  readonly dataset: Dataset;
  readonly feedPlan: FeedPlan;
  readonly metric?: MetricName | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How the models did, in their order. */
export interface Scores {
  readonly scoring: Scoring;
  readonly samples: number;
  readonly models: readonly { readonly metric: Accumulator; readonly agreement: Accumulator | null }[];
}

/**
 * Runs all models over the dataset in one pass, each on the same samples, and collects their scores.
 * @throws TritforgeError DATASET_EMPTY, METRIC_UNSUPPORTED, DATASET_LABELS_MISSING, DATASET_LABELS_INVALID,
 * MODEL_RUN_FAILED
 */
export async function scoreModels(request: ScoringRequest): Promise<Scores> {
  const { sessions, dataset, signal } = request;
  const indices = Array.from({ length: dataset.sampleCount }, (_, i) => i);
  const scoring = await chooseScoring(request);
  const comparable = request.firstIsReference && scoring.hasClasses;
  const models = sessions.map(() => ({
    metric: scoring.metric.accumulator(),
    agreement: comparable ? agreement.accumulator() : null,
  }));
  let done = 0;
  for await (const run of sampleRuns(dataset, request.feedPlan, indices)) {
    let reference: HostTensor | null = null;
    for (const [i, session] of sessions.entries()) {
      throwIfCanceled(signal);
      const outputs = await session.run(run.feeds, [scoring.output]);
      const output = perSample(outputs.get(scoring.output) as HostTensor, run, request.feedPlan);
      reference ??= output;
      const observation = { output, reference, labels: run.labels, samples: run.samples };
      models[i]?.metric.add(observation);
      models[i]?.agreement?.add(observation);
    }
    done += run.samples;
    request.onProgress?.(done, indices.length);
  }
  return { scoring, samples: done, models };
}

/** What the first model computes from the first sample decides how models are scored. */
export async function chooseScoring({
  sessions,
  dataset,
  feedPlan,
  metric,
  firstIsReference,
}: ScoringRequest): Promise<Scoring> {
  const run = await firstRun(dataset, feedPlan);
  const outputs = await sessions[0].run(run.feeds);
  const trimmed = new Map(
    sessions[0].outputs.map(({ name }) => [name, perSample(outputs.get(name) as HostTensor, run, feedPlan)]),
  );
  const { labels, samples, feeds } = run;
  return chooseMetric({ feeds, outputs: trimmed, labels, samples, hasReference: firstIsReference }, metric);
}

/** The output with the samples of the run, and only those, on axis 0. */
export function perSample(output: HostTensor, run: FeedRun, feedPlan: FeedPlan): HostTensor {
  if (!feedPlan.batched) return { ...output, shape: [1, ...output.shape] };
  return trimPadding(output, run);
}
