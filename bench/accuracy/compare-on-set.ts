import path from 'node:path';
import type { Metric, Preprocess } from '@tritforge/contracts';
import { createOnnxRuntime, openDataset, planFeeds } from '@tritforge/quant-core';
import { compareAccuracy } from '@tritforge/quant-core/evaluate';
import type { SetAccuracy } from './rows.js';

/** Two models and a dataset file. */
export interface ComparisonOnSet {
  readonly originalPath: string;
  readonly artifactPath: string;
  readonly set: string;
  readonly preprocess: Preprocess | null;
  readonly metric: Metric;
  readonly scratchDir: string;
}

/** Accuracy of an artifact and of the original on the same samples, in stock onnxruntime on one thread. */
export async function compareOnSet(comparison: ComparisonOnSet): Promise<SetAccuracy> {
  const { originalPath, artifactPath, set, preprocess, metric, scratchDir } = comparison;
  const runtime = createOnnxRuntime();
  const load = (file: string) => runtime.load(file, { threads: 1, optimization: 'all' });
  const dataset = await openDataset(set, { preprocess, scratchDir });
  const [original, quantized] = [await load(originalPath), await load(artifactPath)];
  try {
    const feedPlan = planFeeds(original.inputs, dataset.summary, preprocess);
    const { int8: _, ...accuracy } = await compareAccuracy({ original, quantized, dataset, feedPlan, metric });
    return { dataset: path.basename(set), ...accuracy };
  } finally {
    await original.release();
    await quantized.release();
    await dataset.close();
  }
}
