import { createHash } from 'node:crypto';
import { createWriteStream, openAsBlob } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Artifact, type Dataset, isTerminal, type Job, type JobRequest, type Model } from '@tritforge/contracts';

const POLL_MS = 100;

/** Uploads a model with its external data as one form. */
export async function uploadModel(url: string, [model, ...data]: readonly string[]): Promise<Model> {
  const form = new FormData();
  for (const file of data) form.append('data', await openAsBlob(file), basename(file));
  form.append('model', await openAsBlob(model!), basename(model!));
  return call(`${url}/models`, { method: 'POST', body: form });
}

/** Uploads a dataset. */
export async function uploadDataset(url: string, file: string): Promise<Dataset> {
  const form = new FormData();
  form.append('data', await openAsBlob(file), basename(file));
  return call(`${url}/datasets`, { method: 'POST', body: form });
}

/** Runs a job to its end. @throws Error when it does not succeed */
export async function runJob(url: string, request: JobRequest, onLook: (job: Job) => void): Promise<Job> {
  const headers = { 'content-type': 'application/json' };
  const { id } = await call<Job>(`${url}/jobs`, { method: 'POST', headers, body: JSON.stringify(request) });
  for (;;) {
    const job = await call<Job>(`${url}/jobs/${id}`);
    onLook(job);
    if (job.state === 'succeeded') return job;
    if (isTerminal(job.state)) throw new Error(`the job ended as ${job.state}: ${JSON.stringify(job.error)}`);
    await sleep(POLL_MS);
  }
}

/** The artifacts of a job. */
export async function artifactsOf(url: string, jobId: string): Promise<Artifact[]> {
  return (await call<{ items: Artifact[] }>(`${url}/jobs/${jobId}/artifacts`)).items;
}

/** Streams an artifact to a file. @throws Error when the bytes do not have the digest that the service gave */
export async function download(url: string, artifact: Artifact, folder: string): Promise<string> {
  const response = await fetch(`${url}/artifacts/${artifact.id}/content`);
  if (!response.ok || response.body === null) throw new Error(`the download was answered ${response.status}`);
  const path = join(folder, artifact.fileName);
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(response.body), hashing, createWriteStream(path));
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== artifact.digest)
    throw new Error(`${path} has the digest ${digest} and should have ${artifact.digest}`);
  return path;
}

async function call<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  const body = await response.json();
  if (!response.ok) throw new Error(`${url} was answered ${response.status}: ${JSON.stringify(body)}`);
  return body as T;
}
