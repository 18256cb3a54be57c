import {
  DATASET_ROLES,
  type DatasetRole,
  type Job,
  type JobDatasets,
  JobOptions,
  type Preprocess,
} from '@tritforge/contracts';
import type { Answer, NewJob, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import type { CheckDeps, JobCheckDeps, RouteDeps } from '../../deps.js';
import { compileCheck } from '../../http/schema-check.js';
import { answerOnce } from '../../once/answer-once.js';
import { digestsOf } from '../../once/digests-of.js';
import { accessOf } from '../../plugins/authentication.js';
import { type CheckedDataset, checkDatasetFile, keepDataset } from '../../uploads/dataset-upload.js';
import { readJsonPart } from '../../uploads/json-part.js';
import { type CheckedModel, checkModel, keepModel, ModelParts } from '../../uploads/model-upload.js';
import type { Part } from '../../uploads/multipart.js';
import { duplicatePart, unexpectedPart } from '../../uploads/part-errors.js';
import { SingleFile } from '../../uploads/single-file.js';
import type { UploadSession } from '../../uploads/upload-session.js';
import { onceJob, queued } from './create-job.js';
import { checkLabels, checkWanted } from './job-checks.js';

const PARTS = ['model', 'data', ...DATASET_ROLES, 'job'];
const checkOptions = compileCheck(JobOptions, 'BODY_INVALID', 'job');

/** The parts of a form that carries a model, its data and a job. */
interface JobForm {
  readonly model: ModelParts;
  readonly datasets: Readonly<Record<DatasetRole, SingleFile>>;
  options: JobOptions | null;
}

type CheckedDatasets = Map<DatasetRole, CheckedDataset>;

/**
 * Creates a job together with its model and datasets. They are stored when every check has passed, and not before.
 * @throws TritforgeError of every check
 */
export async function createJobFromForm(
  deps: RouteDeps,
  request: FastifyRequest,
  session: UploadSession,
): Promise<Answer> {
  const form: JobForm = {
    model: new ModelParts(session),
    datasets: {
      calibration: new SingleFile('calibration', 'calibration'),
      evaluation: new SingleFile('evaluation', 'evaluation'),
      training: new SingleFile('training', 'training'),
    },
    options: null,
  };
  const checks: JobCheckDeps = { inspector: deps.inspector, fits: deps.fits, store: accessOf(request).store };
  await deps.uploads.readParts(request, (part) => takePart(form, part, session, deps.config.maxJsonBytes));
  const { preprocess = null, ...wanted } = form.options ?? {};
  const files = form.model.files();
  const roles = DATASET_ROLES.filter((role) => form.datasets[role].has);
  checkWanted(wanted, roles);
  const data = roles.map((role) => ({ role, files: digestsOf([form.datasets[role].file()]) }));
  const work = async (claim: OnceClaim | null) => {
    const model = await checkModel(checks, session, files);
    const datasets: CheckedDatasets = new Map();
    for (const role of roles) {
      datasets.set(role, await checkAgainstModel(checks, session, form.datasets[role], preprocess, model));
    }
    const evaluation = datasets.get('evaluation');
    if (evaluation) checkLabels(wanted.metric, evaluation.summary);
    const job = { ...wanted, keyId: accessOf(request).key?.id };
    return queued(
      await keepAndSubmit(checks, session, { model, datasets }, { job, kept: keptFor(wanted, deps) }, claim),
    );
  };
  return answerOnce(request, { model: digestsOf(files), data, wanted, preprocess }, work, 'within');
}

async function takePart(form: JobForm, part: Part, session: UploadSession, maxJsonBytes: number): Promise<void> {
  if (part.name === 'model') return form.model.takeModel(part);
  if (part.name === 'data') return form.model.takeData(part);
  const role = DATASET_ROLES.find((known) => known === part.name);
  if (role !== undefined) return form.datasets[role].take(part, session);
  if (part.name !== 'job') throw unexpectedPart(part.name, PARTS);
  if (form.options !== null) throw duplicatePart('job');
  form.options = checkOptions(await readJsonPart(part.content, 'job', maxJsonBytes));
}

async function checkAgainstModel(
  deps: JobCheckDeps,
  session: UploadSession,
  part: SingleFile,
  preprocess: Preprocess | null,
  { summary: { inputs } }: CheckedModel,
): Promise<CheckedDataset> {
  const dataset = await checkDatasetFile(deps, session, part.file(), preprocess);
  const { name: fileName, blob } = dataset.file;
  await deps.fits.pass({ fileName, digest: blob.digest, preprocess, inputs }, session.signal, () =>
    deps.inspector.checkDataset(dataset, inputs, session.signal),
  );
  return dataset;
}

/** How long the job and what it brings along are kept, in seconds; null until somebody deletes them. */
type KeptFor = Readonly<Record<'model' | 'dataset' | 'job', number | null>>;

function keptFor({ expiresInSeconds }: JobOptions, { config }: RouteDeps): KeptFor {
  if (expiresInSeconds !== undefined) {
    return { model: expiresInSeconds, dataset: expiresInSeconds, job: expiresInSeconds };
  }
  const { modelRetentionSeconds: model, datasetRetentionSeconds: dataset, jobRetentionSeconds: job } = config;
  return { model, dataset, job };
}

/** Stores everything and submits the job; what is new is deleted again when that fails half-way. */
async function keepAndSubmit(
  { store }: CheckDeps,
  session: UploadSession,
  checked: { model: CheckedModel; datasets: CheckedDatasets },
  { job: wanted, kept }: { job: Omit<JobOptions, 'preprocess'> & Pick<NewJob, 'keyId'>; kept: KeptFor },
  claim: OnceClaim | null,
): Promise<Job> {
  const undo: (() => Promise<void>)[] = [];
  try {
    const model = await keepModel(store, session, checked.model, kept.model);
    if (model.created) undo.push(() => store.models.delete(model.value.id));
    const datasets: JobDatasets = {};
    for (const [role, file] of checked.datasets) {
      const dataset = await keepDataset(store, session, file, kept.dataset);
      if (dataset.created) undo.push(() => store.datasets.delete(dataset.value.id));
      datasets[role] = dataset.value.id;
    }
    session.signal.throwIfAborted();
    const inputs = { modelId: model.value.id, datasets };
    const job = { ...wanted, ...inputs, recipe: wanted.recipe ?? {}, expiresInSeconds: kept.job };
    return await store.submitJob(job, onceJob(claim));
  } catch (error) {
    // Another request may use a resource by now; it then stays.
    await Promise.allSettled(undo.map((step) => step()));
    throw error;
  }
}
