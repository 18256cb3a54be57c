import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Job, Problem, Recipe, Report } from '@tritforge/contracts';
import { isTerminal } from '@tritforge/contracts';
import type { RealModel } from '../shared-data/datasets.js';

const POLL_MS = 250;

/** Quantizes with one multipart `POST /jobs`, polls, and fetches the report. */
export async function quantizeByServer(server: string, model: RealModel, recipe: Recipe): Promise<Report> {
  const preprocess = model.preprocess === null ? undefined : JSON.parse(await readFile(model.preprocess, 'utf8'));
  const form = new FormData();
  form.set('job', JSON.stringify({ recipe, metric: model.metric, preprocess }));
  const files = { model: model.modelPath, calibration: model.calibration, evaluation: model.evaluation };
  for (const [part, file] of Object.entries(files)) form.set(part, await openAsBlob(file), path.basename(file));
  let job = await call<Job>(`${server}/jobs`, { method: 'POST', body: form });
  while (!isTerminal(job.state)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    job = await call<Job>(`${server}/jobs/${job.id}`);
  }
  if (job.state !== 'succeeded')
    throw new Error(`${model.name}: ${job.state}: ${job.error?.code} ${job.error?.message}`);
  return await call<Report>(`${server}/jobs/${job.id}/report`);
}

async function call<T>(url: string, options?: RequestInit): Promise<T> {
  const response = await fetch(url, options);
  const body = await response.json();
  if (response.ok) return body as T;
  const problem = body as Problem;
  throw new Error(`${url}: ${problem.code}: ${problem.detail}`);
}
