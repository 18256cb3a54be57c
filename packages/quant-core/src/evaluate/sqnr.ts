import { DEFAULT_MEMORY_CAP_BYTES } from '../calibrate/calibrate.js';
import { memoryGroups } from '../calibrate/memory-groups.js';
import { observedByteLength, observeShapes } from '../calibrate/observe-shapes.js';
import { type Laboratory, loadScratchModel, mainGraphValues, withOutputs } from '../calibrate/observed-model.js';
import { firstRun, sampleIndices, sampleRuns } from '../calibrate/sample-runs.js';
import { throwIfCanceled } from '../cancellation.js';
import type { Dataset } from '../data/dataset.js';
import type { FeedPlan } from '../data/feed-plan.js';
import { trimPadding } from '../data/feeds.js';
import { elementCount, type Model } from '../ir/index.js';
import { hostFloats, isFloating } from '../runtime/host-floats.js';
import type { HostTensor, Runtime, Session } from '../runtime/runtime.js';

const DEFAULT_MAX_SAMPLES = 32;
/** What equal values get: more than float32 can resolve, and a number that JSON can carry. */
export const EXACT_SQNR_DB = 200;

export interface SqnrRequest {
  readonly original: Model;
  readonly quantized: Model;
  /** Values to compare: name in the original to name in the quantized model, both in the main graphs. */
  readonly values: ReadonlyMap<string, string>;
  readonly dataset: Dataset;
  readonly feedPlan: FeedPlan;
  readonly runtime: Runtime;
  /** An existing folder for scratch files. */
  readonly scratchDir: string;
  /** Samples to use, evenly spread over the dataset. Default 32. */
  readonly maxSamples?: number | undefined;
  /** Bytes of values that a run of both models may return. Default 256 MiB. */
  readonly memoryCapBytes?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Signal to quantization noise of inner values, 10·log10(Σ x² / Σ (x − y)²) dB over all samples, x in the original and
 * y in the quantized model, which runs from the same inputs and therefore carries the noise of all layers before. Both
 * run as written, on one thread. Between ±{@link EXACT_SQNR_DB}; a value that the quantized model makes NaN gets the
 * lowest. Values that are not floating point, not in the graphs, or zero throughout are left out.
 * @returns by name in the original model
 * @throws TritforgeError MODEL_RUN_FAILED, DATASET_EMPTY
 */
export async function measureSqnr(request: SqnrRequest): Promise<Map<string, number>> {
  const laboratory: Laboratory = {
    runtime: request.runtime,
    scratchDir: request.scratchDir,
    options: { threads: 1, optimization: 'none' },
  };
  const indices = sampleIndices(request.dataset.sampleCount, request.maxSamples ?? DEFAULT_MAX_SAMPLES);
  const groups = memoryGroups(
    await pairByteLengths(request, laboratory),
    request.memoryCapBytes ?? DEFAULT_MEMORY_CAP_BYTES,
  );
  const sqnr = new Map<string, number>();
  for (const [pass, group] of groups.entries()) {
    const powers = await observePairs(request, group, indices, laboratory, (samplesDone) =>
      request.onProgress?.(pass * indices.length + samplesDone, groups.length * indices.length),
    );
    for (const [name, { signal, noise }] of powers) if (signal > 0) sqnr.set(name, decibels(signal, noise));
  }
  return sqnr;
}

function decibels(signal: number, noise: number): number {
  if (Number.isNaN(noise)) return -EXACT_SQNR_DB;
  return Math.min(EXACT_SQNR_DB, Math.max(-EXACT_SQNR_DB, 10 * Math.log10(signal / noise)));
}

/** Bytes that each pair of values takes for one run, of those that can be compared. */
async function pairByteLengths(request: SqnrRequest, laboratory: Laboratory): Promise<Map<string, number>> {
  const inOriginal = mainGraphValues(request.original);
  const inQuantized = mainGraphValues(request.quantized);
  const names = [...request.values].filter(([before, after]) => inOriginal.has(before) && inQuantized.has(after));
  const { feeds } = await firstRun(request.dataset, request.feedPlan);
  const shapes = await observeShapes(
    request.original,
    names.map(([name]) => name),
    feeds,
    laboratory,
  );
  const floating = names.filter(([name]) => !feeds.has(name) && isFloating(shapes.get(name)?.dtype ?? 'undefined'));
  return new Map(floating.map(([name]) => [name, 2 * observedByteLength(shapes.get(name)!)]));
}

interface Powers {
  signal: number;
  noise: number;
}

async function observePairs(
  request: SqnrRequest,
  group: readonly string[],
  indices: readonly number[],
  laboratory: Laboratory,
  onSamples: (samplesDone: number) => void,
): Promise<Map<string, Powers>> {
  const powers = new Map(group.map((name) => [name, { signal: 0, noise: 0 }]));
  const partner = (name: string) => request.values.get(name)!;
  const sessions: Session[] = [];
  const load = async (model: Model, names: readonly string[]) => {
    const session = await loadScratchModel(withOutputs(model, [...new Set(names)]), laboratory);
    sessions.push(session);
    return session;
  };
  try {
    const original = await load(request.original, group);
    const quantized = await load(request.quantized, group.map(partner));
    let samplesDone = 0;
    for await (const run of sampleRuns(request.dataset, request.feedPlan, indices)) {
      throwIfCanceled(request.signal);
      const before = await original.run(run.feeds);
      const after = await quantized.run(run.feeds);
      for (const [name, sums] of powers) {
        const comparable = addPowers(
          sums,
          trimPadding(before.get(name)!, run),
          trimPadding(after.get(partner(name))!, run),
        );
        if (!comparable) powers.delete(name);
      }
      samplesDone += run.samples;
      onSamples(samplesDone);
    }
  } finally {
    await Promise.all(sessions.map((session) => session.release()));
  }
  return powers;
}

/** @returns false, having added nothing, when the tensors are not of one size and floating point */
function addPowers(sums: Powers, before: HostTensor, after: HostTensor): boolean {
  if (!isFloating(after.dtype) || elementCount(before.shape) !== elementCount(after.shape)) return false;
  const x = hostFloats(before);
  const y = hostFloats(after);
  for (let i = 0; i < x.length; i++) {
    sums.signal += x[i]! * x[i]!;
    sums.noise += (x[i]! - y[i]!) ** 2;
  }
  return true;
}
