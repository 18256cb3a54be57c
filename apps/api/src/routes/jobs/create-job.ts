import { DATASET_ROLES, type Job, type JobRequest } from '@tritforge/contracts';
import type { Answer, Once, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import type { RouteDeps } from '../../deps.js';
import { answerOnce } from '../../once/answer-once.js';
import { type Access, accessOf } from '../../plugins/authentication.js';
import type { UploadSession } from '../../uploads/upload-session.js';
import { checkLabels, checkWanted } from './job-checks.js';

/** Seconds between two looks at a job that has not ended. */
export const POLL_SECONDS = 1;

/** Creates a job of a model and datasets that are stored. @throws TritforgeError of every check */
export async function createJob(
  deps: RouteDeps,
  request: FastifyRequest,
  session: UploadSession,
  wanted: JobRequest,
): Promise<Answer> {
  const access = accessOf(request);
  const { recipe = {}, expiresInSeconds = deps.config.jobRetentionSeconds } = wanted;
  const job = { ...wanted, recipe, expiresInSeconds, keyId: access.key?.id };
  const work = async (claim: OnceClaim | null) => {
    try {
      await checkJob(deps, access, session, wanted);
      return queued(await access.store.submitJob(job, onceJob(claim)));
    } catch (error) {
      // What it works on may have been deleted or expired, and its files with it.
      await deps.inputs.lookAgain(access, wanted);
      throw error;
    }
  };
  return answerOnce(request, wanted, work, 'within');
}

/** The answer to whoever asked for a job. */
export function queued(job: Job): Answer {
  return { status: 202, headers: { location: `/jobs/${job.id}`, 'retry-after': String(POLL_SECONDS) }, body: job };
}

/** What keeps the answer together with the job. */
export function onceJob(claim: OnceClaim | null): Once<Job> | undefined {
  return claim === null ? undefined : { claim, answerOf: queued };
}

async function checkJob(
  { inspector, fits, inputs: known }: RouteDeps,
  access: Access,
  session: UploadSession,
  wanted: JobRequest,
): Promise<void> {
  const { modelId, datasets = {} } = wanted;
  const { inputs } = await known.model(access, modelId);
  const roles = DATASET_ROLES.filter((role) => datasets[role] !== undefined);
  const used = await Promise.all(roles.map((role) => known.dataset(access, datasets[role]!)));
  checkWanted(wanted, roles);
  const evaluation = used[roles.indexOf('evaluation')];
  if (evaluation) checkLabels(wanted.metric, evaluation.summary);
  for (const { fileName, digest, preprocess } of new Map(used.map((dataset) => [dataset.id, dataset])).values()) {
    await fits.pass({ fileName, digest, preprocess, inputs }, session.signal, async () => {
      const [path] = await session.layOutPublished([{ name: fileName, digest }]);
      await inspector.checkDataset({ path: path!, preprocess }, inputs, session.signal);
    });
  }
}
