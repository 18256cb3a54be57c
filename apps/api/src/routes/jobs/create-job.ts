import { DATASET_ROLES, type Job, type JobRequest } from '@tritforge/contracts';
import type { Answer, Once, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import type { JobCheckDeps, RouteDeps } from '../../deps.js';
import { lookUp } from '../../http/lookup.js';
import { answerOnce } from '../../once/answer-once.js';
import { accessOf } from '../../plugins/authentication.js';
import type { UploadSession } from '../../uploads/upload-session.js';
import { checkLabels, checkWanted } from './job-checks.js';

/** Seconds between two looks at a job that has not ended. */
export const POLL_SECONDS = 1;

/** Creates a job of a model and datasets that are stored. @throws TritforgeError of every check */
export async function createJob(
  { inspector, fits, config }: RouteDeps,
  request: FastifyRequest,
  session: UploadSession,
  wanted: JobRequest,
): Promise<Answer> {
  const { store, key } = accessOf(request);
  const { recipe = {}, expiresInSeconds = config.jobRetentionSeconds } = wanted;
  const work = async (claim: OnceClaim | null) => {
    await checkJob({ store, inspector, fits }, session, wanted);
    return queued(await store.submitJob({ ...wanted, recipe, expiresInSeconds, keyId: key?.id }, onceJob(claim)));
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
  { store, inspector, fits }: JobCheckDeps,
  session: UploadSession,
  wanted: JobRequest,
): Promise<void> {
  const { modelId, datasets = {} } = wanted;
  const model = await lookUp('model', modelId, (id) => store.models.get(id));
  const roles = DATASET_ROLES.filter((role) => datasets[role] !== undefined);
  const used = await Promise.all(
    roles.map((role) => lookUp('dataset', datasets[role]!, (id) => store.datasets.get(id))),
  );
  checkWanted(wanted, roles);
  const evaluation = used[roles.indexOf('evaluation')];
  if (evaluation) checkLabels(wanted.metric, evaluation.summary);
  const { inputs } = model.summary;
  for (const { id, fileName, digest, preprocess } of new Map(used.map((dataset) => [dataset.id, dataset])).values()) {
    try {
      await fits.pass({ fileName, digest, preprocess, inputs }, session.signal, async () => {
        const [path] = await session.layOutPublished([{ name: fileName, digest }]);
        await inspector.checkDataset({ path: path!, preprocess }, inputs, session.signal);
      });
    } catch (error) {
      // It may have expired meanwhile, and its file with it.
      await lookUp('dataset', id, (known) => store.datasets.get(known));
      throw error;
    }
  }
}
