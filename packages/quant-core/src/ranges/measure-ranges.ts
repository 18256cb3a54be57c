import type { ActivationPlan } from '../activations/plan-activations.js';
import { loadScratchModel } from '../calibrate/observed-model.js';
import { sampleIndices, sampleRuns } from '../calibrate/sample-runs.js';
import { throwIfCanceled } from '../cancellation.js';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import type { Model, Node } from '../ir/index.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { HostTensor, Runtime } from '../runtime/runtime.js';
import { buildTrialGraph, type Trials } from './trial-graph.js';

/** Samples that the trials are measured on: as many again change few choices, and the cost grows with the trials. */
const MAX_SAMPLES = 64;

export interface MeasureRangesRequest {
  readonly model: Model;
  readonly plan: ActivationPlan;
  readonly trials: Trials;
  readonly dataset: Dataset;
  readonly feedPlan: FeedPlan;
  readonly runtime: Runtime;
  /** An existing folder for scratch files. */
  readonly scratchDir: string;
  /** Samples to use at most, evenly spread over the dataset. Never more than 64. */
  readonly maxSamples?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the trials of one value do to one operator that takes it in. */
export interface UserError {
  /** The operator; null where there is none and the value itself is judged. */
  readonly node: Node | null;
  /** Σ y² of its result over all samples. */
  readonly signal: number;
  /** Σ (y − ŷ)² for each trial, in their order; NaN where a result is not finite. */
  readonly noises: Float64Array;
}

/** By the value that is observed. */
export type RangeErrors = ReadonlyMap<string, readonly UserError[]>;

/**
 * Measures what quantizations of values do to the results of the layers and integer operators that take them in: each value by
 * itself, weights and everything else in floating point. The model runs once per sample, a user once more per trial.
 * @throws TritforgeError MODEL_RUN_FAILED, CANCELED, DATASET_EMPTY, and what reading the dataset throws
 */
export async function measureRanges(request: MeasureRangesRequest): Promise<RangeErrors> {
  const { model, users } = buildTrialGraph(request.model, request.plan, request.trials);
  const sums = new Map(model.graph.outputs.map(({ name }) => [name, 0]));
  await run(request, model, (outputs) => {
    for (const [name, power] of outputs) sums.set(name, sums.get(name)! + hostFloats(power)[0]!);
  });
  return new Map(
    [...users].map(([value, all]) => [
      value,
      all.map(({ node, signal, noises }) => ({
        node,
        signal: sums.get(signal)!,
        noises: Float64Array.from(noises, (name) => sums.get(name)!),
      })),
    ]),
  );
}

async function run(
  { dataset, feedPlan, runtime, scratchDir, onProgress, signal, maxSamples }: MeasureRangesRequest,
  model: Model,
  onOutputs: (outputs: ReadonlyMap<string, HostTensor>) => void,
): Promise<void> {
  const indices = sampleIndices(dataset.sampleCount, Math.min(maxSamples ?? MAX_SAMPLES, MAX_SAMPLES));
  const session = await loadScratchModel(model, {
    runtime,
    scratchDir,
    // Every copy of a layer would hold its weight once more in the order of the kernels.
    options: { threads: 1, optimization: 'none', config: { 'session.disable_prepacking': '1' } },
  });
  try {
    let done = 0;
    for await (const { feeds, samples } of sampleRuns(dataset, feedPlan, indices)) {
      throwIfCanceled(signal);
      onOutputs(await session.run(feeds));
      done += samples;
      onProgress?.(done, indices.length);
    }
  } finally {
    await session.release();
  }
}
