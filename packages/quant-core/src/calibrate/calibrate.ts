import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import { trimPadding } from '../data/feeds.js';
import type { Model } from '../ir/index.js';
import { hostFloats, isFloating } from '../runtime/host-floats.js';
import type { HostTensor, Runtime } from '../runtime/runtime.js';
import { Histogram } from './histogram.js';
import { memoryGroups } from './memory-groups.js';
import { type ObservedShape, observedByteLength, observeShapes } from './observe-shapes.js';
import { type Laboratory, loadScratchModel, mainGraphValues, withOutputs } from './observed-model.js';
import { firstRun, sampleIndices, sampleRuns } from './sample-runs.js';

/** Bytes of observed values that one run may return, unless the caller says otherwise. */
export const DEFAULT_MEMORY_CAP_BYTES = 256 * 2 ** 20;
const DEFAULT_MAX_SAMPLES = 256;

export interface CalibrationRequest {
  readonly model: Model;
  /** Values whose histograms are wanted. Names that the main graph does not have are ignored. */
  readonly values: readonly string[];
  /** Further values of which only dtype and shape are wanted. */
  readonly shapeValues?: readonly string[] | undefined;
  readonly dataset: Dataset;
  /** How the dataset's arrays go into the model's inputs. */
  readonly feedPlan: FeedPlan;
  readonly runtime: Runtime;
  /** An existing folder for scratch files. */
  readonly scratchDir: string;
  /** Bytes of observed values that one run may return. Default 256 MiB. */
  readonly memoryCapBytes?: number | undefined;
  /** Samples to use, evenly spread over the dataset. Default 256. */
  readonly maxSamples?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Calibration {
  /** By value name; floating-point values only. {@link chooseRange} makes ranges of them. */
  readonly histograms: ReadonlyMap<string, Histogram>;
  /** dtype and shape of every value asked for, as seen on the first sample. */
  readonly shapes: ReadonlyMap<string, ObservedShape>;
  readonly samples: number;
}

/**
 * Runs the model over the samples once and counts the values.
 *
 * Samples run one at a time, on one thread, on the graph as written: over several samples or threads onnxruntime rounds
 * products differently, and counts, hence ranges and artifacts, would depend on the machine. What one run returns stays under the
 * memory cap; if the values of one sample do not fit, they are split over several scratch graphs, which changes no
 * number.
 * @throws TritforgeError MODEL_NONFINITE_ACTIVATIONS naming a value that becomes NaN or infinite, MODEL_RUN_FAILED,
 * DATASET_EMPTY, and what reading the dataset throws
 */
export async function calibrate(request: CalibrationRequest): Promise<Calibration> {
  const laboratory = laboratoryOf(request);
  const indices = sampleIndices(request.dataset.sampleCount, request.maxSamples ?? DEFAULT_MAX_SAMPLES);
  const shapes = await shapesOfFirstRun(request, laboratory);
  const groups = memoryGroups(
    floatByteLengths(request.values, shapes),
    request.memoryCapBytes ?? DEFAULT_MEMORY_CAP_BYTES,
  );
  const histograms = new Map(groups.flat().map((name) => [name, new Histogram()]));
  for (const [pass, group] of groups.entries()) {
    await observeGroup(request, group, indices, laboratory, histograms, (samplesDone) => {
      request.onProgress?.(pass * indices.length + samplesDone, groups.length * indices.length);
    });
  }
  return { histograms, shapes, samples: indices.length };
}

function laboratoryOf(request: CalibrationRequest): Laboratory {
  return {
    runtime: request.runtime,
    scratchDir: request.scratchDir,
    options: { threads: 1, optimization: 'none' },
  };
}

async function shapesOfFirstRun(
  request: CalibrationRequest,
  laboratory: Laboratory,
): Promise<Map<string, ObservedShape>> {
  const present = mainGraphValues(request.model);
  const names = [...new Set([...request.values, ...(request.shapeValues ?? [])])].filter((name) => present.has(name));
  const { feeds } = await firstRun(request.dataset, request.feedPlan);
  return observeShapes(request.model, names, feeds, laboratory);
}

function floatByteLengths(values: readonly string[], shapes: ReadonlyMap<string, ObservedShape>): Map<string, number> {
  const byteLengths = new Map<string, number>();
  for (const name of values) {
    const observed = shapes.get(name);
    if (observed && isFloating(observed.dtype)) byteLengths.set(name, observedByteLength(observed));
  }
  return byteLengths;
}

async function observeGroup(
  request: CalibrationRequest,
  group: readonly string[],
  indices: readonly number[],
  laboratory: Laboratory,
  histograms: ReadonlyMap<string, Histogram>,
  onSamples: (samplesDone: number) => void,
): Promise<void> {
  const { inputs, made } = request.feedPlan;
  const fed = new Set([...inputs, ...made].map(({ input }) => input));
  const computed = group.filter((name) => !fed.has(name));
  const session =
    computed.length === 0 ? null : await loadScratchModel(withOutputs(request.model, computed), laboratory);
  try {
    let samplesDone = 0;
    for await (const run of sampleRuns(request.dataset, request.feedPlan, indices)) {
      throwIfCanceled(request.signal);
      const outputs = (await session?.run(run.feeds)) ?? run.feeds;
      for (const name of group) {
        const value = (outputs.get(name) ?? run.feeds.get(name)) as HostTensor;
        tally(histograms.get(name) as Histogram, name, trimPadding(value, run));
      }
      samplesDone += run.samples;
      onSamples(samplesDone);
    }
  } finally {
    await session?.release();
  }
}

/** @throws TritforgeError MODEL_NONFINITE_ACTIVATIONS */
function tally(histogram: Histogram, name: string, value: HostTensor): void {
  const bad = histogram.add(hostFloats(value));
  if (bad === null) return;
  throw new TritforgeError('MODEL_NONFINITE_ACTIVATIONS', `value "${name}" becomes ${bad} on the calibration data`, {
    field: 'datasets.calibration',
    remediation: 'Check the preprocessing of the data, or exclude the layer that computes this value.',
  });
}
