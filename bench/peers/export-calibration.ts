import { createOnnxRuntime, feedsOf, openDataset, planFeeds, writeNpz } from '@tritforge/quant-core';
import type { RealModel } from '../shared-data/datasets.js';
import { readPreprocess } from '../shared-data/job-request.js';

type Feed = Parameters<typeof writeNpz>[1] extends ReadonlyMap<string, infer Tensor> ? Tensor : never;

/**
 * Writes what a model's inputs get, preprocessed, for tools that know no datasets: one .npz with an array for each input, whose
 * dimension 0 counts the runs.
 * @param maxSamples samples at most, evenly spread over the calibration data
 * @returns the samples that were written
 */
export async function exportCalibration(
  model: RealModel,
  maxSamples: number,
  target: string,
  scratchDir: string,
): Promise<number> {
  const preprocess = await readPreprocess(model);
  const session = await createOnnxRuntime().load(model.modelPath, { threads: 1, optimization: 'none' });
  const dataset = await openDataset(model.calibration, { preprocess, scratchDir });
  try {
    const plan = planFeeds(session.inputs, dataset.summary, preprocess);
    const count = Math.min(maxSamples, dataset.sampleCount);
    const indices = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.sampleCount) / count));
    const runs: ReadonlyMap<string, Feed>[] = [];
    for await (const batch of dataset.batches({ batchSize: 1, indices })) {
      runs.push(...feedsOf({ ...plan, runSamples: 1 }, batch).map(({ feeds }) => feeds));
    }
    await writeNpz(
      target,
      new Map([...runs[0]!.keys()].map((name) => [name, stack(runs.map((run) => run.get(name)!))])),
    );
    return count;
  } finally {
    await dataset.close();
    await session.release();
  }
}

/** Tensors of one shape along a new dimension 0. */
function stack(tensors: readonly Feed[]): Feed {
  const { dtype, shape, data } = tensors[0]!;
  const first = data as Float32Array;
  const all = new (first.constructor as Float32ArrayConstructor)(first.length * tensors.length);
  for (const [i, tensor] of tensors.entries()) all.set(tensor.data as Float32Array, i * first.length);
  return { dtype, shape: [tensors.length, ...shape], data: all };
}
