import { DATASET_ROLES, type Job, type JobRequest } from '@tritforge/contracts';
import type { CheckDeps } from '../../deps.js';
import { lookUp } from '../../http/lookup.js';
import type { UploadSession } from '../../uploads/upload-session.js';
import { checkLabels, checkWanted } from './job-checks.js';

/** Creates a job of a model and datasets that are stored. @throws TritforgeError of every check */
export async function createJob(
  { store, inspector }: CheckDeps,
  session: UploadSession,
  wanted: JobRequest,
): Promise<Job> {
  const { modelId, datasets = {} } = wanted;
  const model = await lookUp('model', modelId, (id) => store.models.get(id));
  const roles = DATASET_ROLES.filter((role) => datasets[role] !== undefined);
  const used = await Promise.all(
    roles.map((role) => lookUp('dataset', datasets[role]!, (id) => store.datasets.get(id))),
  );
  checkWanted(wanted, roles);
  const evaluation = used[roles.indexOf('evaluation')];
  if (evaluation) checkLabels(wanted.metric, evaluation.summary);
  for (const { fileName, digest, preprocess } of new Map(used.map((dataset) => [dataset.id, dataset])).values()) {
    const [path] = await session.layOutPublished([{ name: fileName, digest }]);
    await inspector.checkDataset({ path: path!, preprocess }, model.summary.inputs, session.signal);
  }
  return store.submitJob({ ...wanted, recipe: wanted.recipe ?? {} });
}
