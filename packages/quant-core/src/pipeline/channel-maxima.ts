import { loadScratchModel, withOutputs } from '../calibrate/observed-model.js';
import { sampleIndices, sampleRuns } from '../calibrate/sample-runs.js';
import { throwIfCanceled } from '../cancellation.js';
import type { Model } from '../ir/index.js';
import type { ChannelMaxima } from '../passes/equalize.js';
import { findLayerPairs } from '../passes/layer-pairs.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { Runtime } from '../runtime/runtime.js';
import type { JobDataset } from './job-data.js';

/** Samples that are looked at. */
const SAMPLES = 256;

/** The largest magnitude per channel of the values between layers, on calibration data. */
export async function channelMaxima(
  model: Model,
  { dataset, feedPlan }: JobDataset,
  step: { readonly runtime: Runtime; readonly scratchDir: string; readonly signal?: AbortSignal | undefined },
): Promise<ChannelMaxima> {
  const names = [...new Set((await findLayerPairs(model)).map(({ value }) => value))];
  const maxima = new Map<string, Float32Array>();
  if (names.length === 0) return maxima;
  const { runtime, scratchDir, signal } = step;
  const laboratory = { runtime, scratchDir, options: { threads: 1, optimization: 'all' as const } };
  const session = await loadScratchModel(withOutputs(model, names), laboratory);
  try {
    for await (const { feeds } of sampleRuns(dataset, feedPlan, sampleIndices(dataset.sampleCount, SAMPLES))) {
      throwIfCanceled(signal);
      for (const [name, tensor] of await session.run(feeds)) {
        const [images = 0, channels = 0] = tensor.shape;
        const values = hostFloats(tensor);
        const places = values.length / (images * channels);
        const largest = maxima.get(name) ?? new Float32Array(channels);
        maxima.set(name, largest);
        for (let i = 0, at = 0; i < images; i++)
          for (let c = 0; c < channels; c++)
            for (let end = at + places; at < end; at++) largest[c] = Math.max(largest[c]!, Math.abs(values[at]!));
      }
    }
  } finally {
    await session.release();
  }
  return maxima;
}
