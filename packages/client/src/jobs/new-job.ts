import {
  DATASET_ROLES,
  type DatasetRole,
  type Job,
  type JobDatasets,
  type JobOptions,
  type JobRequest,
} from '@tritforge/contracts';
import { datasetPart, type FileSender, type FormPart, jsonPart, modelParts } from '../files/form.js';
import type { DatasetFile, ModelFiles } from '../files/sources.js';
import type { Transport } from '../http/transport.js';
import type { PostOptions } from '../options.js';
import { uploadDataset, uploadModel } from '../uploads.js';

/** What a job is to do, with files of this machine or the ids of what the service has. */
export interface NewJob extends Omit<JobOptions, 'preprocess'> {
  /** `mdl_…`, or the files of a model. */
  readonly model: string | ModelFiles;
  /** `dst_…`, or files. */
  readonly datasets?: { readonly [role in DatasetRole]?: string | DatasetFile | undefined } | undefined;
}

/**
 * Starts a job. Files travel with it in one form, of which nothing is kept when a check of any part of it fails; where some are named by
 * ids, or datasets are preprocessed in different ways, they are uploaded first.
 * @throws as {@link FileSender.post}
 */
export async function createJob(
  transport: Transport,
  files: FileSender,
  { model, datasets = {}, ...options }: NewJob,
  call: PostOptions,
): Promise<Job> {
  const form = formOf(model, datasets);
  if (form !== null)
    return files.post('/jobs', [jsonPart('job', { ...options, ...form.options }), ...form.parts], call);
  const { idempotencyKey, ...sending } = call;
  const modelId = typeof model === 'string' ? model : (await uploadModel(files, model, sending)).id;
  const ids: JobDatasets = {};
  for (const [role, source] of given(datasets))
    ids[role] = typeof source === 'string' ? source : (await uploadDataset(files, source, sending)).id;
  const request: JobRequest = { modelId, datasets: ids, ...options };
  const headers = { 'content-type': 'application/json' };
  const { signal } = sending;
  const body = JSON.stringify(request);
  return transport.json({ method: 'POST', path: '/jobs', headers, body, signal, idempotencyKey });
}

/** The form that brings model and datasets along; null where there is none that could. */
function formOf(
  model: NewJob['model'],
  datasets: NonNullable<NewJob['datasets']>,
): {
  readonly parts: readonly FormPart[];
  readonly options: Pick<JobOptions, 'preprocess'>;
} | null {
  if (typeof model === 'string') return null;
  const parts = modelParts(model);
  const ways = new Set<string | undefined>();
  let preprocess: DatasetFile['preprocess'];
  for (const [role, source] of given(datasets)) {
    if (typeof source === 'string') return null;
    parts.push(datasetPart(role, source));
    ({ preprocess } = source);
    ways.add(JSON.stringify(preprocess));
  }
  return ways.size > 1 ? null : { parts, options: preprocess === undefined ? {} : { preprocess } };
}

function given(datasets: NonNullable<NewJob['datasets']>): [DatasetRole, string | DatasetFile][] {
  return DATASET_ROLES.flatMap((role) => {
    const source = datasets[role];
    return source === undefined ? [] : [[role, source] as [DatasetRole, string | DatasetFile]];
  });
}
