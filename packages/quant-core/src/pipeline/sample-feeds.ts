import { sampleIndices, sampleRuns } from '../calibrate/index.js';
import { syntheticFeeds } from '../evaluate/index.js';
import type { Feeds, Runtime } from '../runtime/runtime.js';
import type { JobData } from './job-data.js';

/**
 * Inputs to run models on: samples of the calibration or evaluation data, else made-up ones.
 * @param modelPath tells the inputs where there is no data
 */
export async function sampleFeeds(
  data: JobData,
  runtime: Runtime,
  modelPath: string,
  count: number,
  seed: number,
): Promise<Feeds[]> {
  const source = data.calibration ?? data.evaluation;
  const feeds: Feeds[] = [];
  if (source !== null) {
    const indices = sampleIndices(source.dataset.sampleCount, count);
    for await (const run of sampleRuns(source.dataset, source.feedPlan, indices)) feeds.push(run.feeds);
    return feeds;
  }
  const session = await runtime.load(modelPath, { threads: 1, optimization: 'none' });
  await session.release();
  for (let i = 0; i < count; i++) feeds.push(syntheticFeeds(session.inputs, seed + i));
  return feeds;
}
