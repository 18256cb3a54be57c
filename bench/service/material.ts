import type { Artifact, Dataset, Job, JobRequest, Model } from '@tritforge/contracts';
import { samples } from '#test/support/datasets';
import { expectJson, file, form, json } from '#test/support/http';
import { jobEnd } from '#test/support/jobs';
import { classifier } from '#test/support/models';
import type { LoadRequest } from './load-request.js';
import { type RunningService, withKey } from './running-service.js';

const SAMPLES = 16;

/** What requests are about: a small model with calibration data. */
export interface Material {
  /** A job on them, which takes a worker about a second. */
  readonly jobRequest: JobRequest;
  /** The creation of that job, by each key of the service in turn. */
  readonly submissions: readonly LoadRequest[];
}

/** Uploads a small model and calibration data. */
export async function uploadMaterial(service: RunningService): Promise<Material> {
  const model = await expectJson<Model>(
    await asked(service, '/models', form([['model', file(classifier(), 'model.onnx')]])),
    201,
  );
  const data = form([['data', file(samples(SAMPLES), 'calibration.npz')]]);
  const calibration = await expectJson<Dataset>(await asked(service, '/datasets', data), 201);
  const jobRequest: JobRequest = { modelId: model.id, datasets: { calibration: calibration.id }, recipe: {} };
  const submissions = service.keys.map((key) => ({
    method: 'POST' as const,
    path: '/jobs',
    headers: { ...withKey(key), 'content-type': 'application/json' },
    body: JSON.stringify(jobRequest),
    statuses: [202],
    createsJob: true,
  }));
  return { jobRequest, submissions };
}

/** A job that has succeeded, with what it made. A worker must run. */
export async function finishedJob(
  service: RunningService,
  { jobRequest }: Material,
): Promise<{ readonly job: Job; readonly artifact: Artifact }> {
  const fetch = (path: string, init?: RequestInit) => asked(service, path, init);
  const { id } = await expectJson<Job>(await fetch('/jobs', json(jobRequest)), 202);
  const job = await jobEnd({ fetch }, id);
  const { items } = await expectJson<{ items: Artifact[] }>(await fetch(`/jobs/${id}/artifacts`), 200);
  return { job, artifact: items[0]! };
}

/** A look with the first key of a service. */
export function look({ keys }: RunningService, path: string, digest?: string): LoadRequest {
  return { method: 'GET', path, headers: withKey(keys[0]!), statuses: [200], ...(digest !== undefined && { digest }) };
}

/** Cancels jobs, of which some may have ended. */
export function cancellations({ keys }: RunningService, jobIds: readonly string[]): LoadRequest[] {
  const headers = withKey(keys[0]!);
  return jobIds.map((id) => ({ method: 'POST', path: `/jobs/${id}/cancel`, headers, statuses: [200, 409] }));
}

function asked({ stack, keys }: RunningService, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${stack.url}${path}`, {
    ...init,
    headers: { ...(init.headers as Record<string, string>), ...withKey(keys[0]!) },
  });
}
