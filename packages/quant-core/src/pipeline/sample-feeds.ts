import { TritforgeError } from '@tritforge/contracts';
import { sampleIndices, sampleRuns } from '../calibrate/index.js';
import { syntheticFeeds } from '../evaluate/index.js';
import type { Feeds, Runtime, Session } from '../runtime/runtime.js';
import type { JobData } from './job-data.js';

/** Sizes tried for open dimensions: some models need a least length, others have a table that ends. */
const OPEN_LENGTHS = [32, 256, 1024];

/**
 * Inputs to run models on: samples of the calibration or evaluation data, else made-up ones.
 * @param modelPath tells the inputs where there is no data, and must run on what was made up
 * @throws TritforgeError MODEL_RUN_FAILED when it does not
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
  try {
    const openLength = await workingLength(session, seed);
    for (let i = 0; i < count; i++) feeds.push(syntheticFeeds(session.inputs, seed + i, openLength));
    return feeds;
  } finally {
    await session.release();
  }
}

async function workingLength(session: Session, seed: number): Promise<number> {
  let failure: unknown;
  for (const openLength of OPEN_LENGTHS) {
    try {
      await session.run(syntheticFeeds(session.inputs, seed, openLength));
      return openLength;
    } catch (error) {
      failure ??= error;
    }
  }
  const why = failure instanceof Error ? failure.message : String(failure);
  throw new TritforgeError('MODEL_RUN_FAILED', `The model does not run on made-up inputs: ${why}`, {
    ...(failure instanceof TritforgeError && failure.context),
    remediation: 'Send a calibration or an evaluation dataset, so that it can be run on real inputs.',
    cause: failure,
  });
}
