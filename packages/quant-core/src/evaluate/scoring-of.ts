import { type Laboratory, loadScratchModel } from '../calibrate/observed-model.js';
import type { Model } from '../ir/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { chooseScoring } from './score-models.js';

/** The output by which a network is told from the original. @throws TritforgeError METRIC_UNSUPPORTED, MODEL_RUN_FAILED */
export async function scoringOf(prepared: Model, { dataset, feedPlan }: JobDataset, laboratory: Laboratory) {
  const session = await loadScratchModel(prepared, laboratory);
  try {
    return await chooseScoring({ sessions: [session], firstIsReference: true, dataset, feedPlan });
  } finally {
    await session.release();
  }
}
