import { type Dataset, type FeedPlan, openDataset, planFeeds } from '../data/index.js';
import { fileDigest } from '../file-digest.js';
import type { Model } from '../ir/index.js';
import type { DatasetReference, QuantizeRequest } from '../quantize-request.js';

/** An opened dataset and how it goes into the model. */
export interface JobDataset {
  readonly dataset: Dataset;
  readonly feedPlan: FeedPlan;
  readonly digest: string;
}

/** The datasets of a job. */
export interface JobData {
  readonly calibration: JobDataset | null;
  readonly evaluation: JobDataset | null;
  readonly training: JobDataset | null;
  close(): Promise<void>;
}

/**
 * Opens the datasets and checks that they fit the model.
 * @throws TritforgeError DATASET_* naming the array or image that is wrong
 */
export async function openJobData(request: QuantizeRequest, model: Model): Promise<JobData> {
  const opened: JobDataset[] = [];
  const close = async () => {
    for (const { dataset } of opened) await dataset.close();
  };
  const open = async (reference: DatasetReference | undefined) => {
    if (reference === undefined) return null;
    const found = await openOne(reference, request.scratchDir, model);
    opened.push(found);
    return found;
  };
  try {
    const calibration = await open(request.calibration);
    const evaluation = await open(request.evaluation);
    return { calibration, evaluation, training: await open(request.training), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openOne(reference: DatasetReference, scratchDir: string, model: Model): Promise<JobDataset> {
  const preprocess = reference.preprocess ?? null;
  const dataset = await openDataset(reference.path, { preprocess, scratchDir });
  try {
    const inputs = model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name));
    const feedPlan = planFeeds(inputs, dataset.summary, preprocess);
    return { dataset, feedPlan, digest: reference.digest ?? (await fileDigest(reference.path)) };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}
