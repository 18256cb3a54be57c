import type { Artifact, Job, JobState, Report } from '@tritforge/contracts';
import type { FileSender } from '../files/form.js';
import { notTheService } from '../http/passing.js';
import type { Transport } from '../http/transport.js';
import type { CallOptions, PostOptions } from '../options.js';
import { type PageOptions, pages } from '../pages.js';
import { createJob, type NewJob } from './new-job.js';
import { type WaitOptions, waitForJob } from './wait-for-job.js';

/** Which jobs to list. */
export interface JobFilter extends PageOptions {
  /** Jobs in one of these states. */
  readonly states?: readonly JobState[] | undefined;
  /** Jobs that carry all of these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly modelId?: string | undefined;
}

/** Quantization, from the request to the report. */
export class Jobs {
  readonly #transport: Transport;
  readonly #files: FileSender;

  constructor(transport: Transport, files: FileSender) {
    this.#transport = transport;
    this.#files = files;
  }

  /**
   * Starts a job, with files of this machine or with ids of what the service has. Where all are files nothing is kept when a check fails.
   * @throws ProblemError, TritforgeError SERVICE_UNREACHABLE, the error of the file system when a file cannot be read
   * @example
   * const job = await client.jobs.create({
   *   model: { path: 'model.onnx' },
   *   datasets: { calibration: { path: 'calibration.npz' }, evaluation: 'dst_01k9zq4h2j6k8l1p3o5i7u9y2t' },
   *   recipe: { method: 'fgq', weights: { groupSize: 4 } },
   *   gates: { maxAccuracyDrop: 1 },
   * });
   */
  create(job: NewJob, options: PostOptions = {}): Promise<Job> {
    return createJob(this.#transport, this.#files, job, options);
  }

  /** @throws ProblemError JOB_NOT_FOUND and others */
  get(id: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#transport.json({ method: 'GET', path: pathOf(id), signal });
  }

  /** Jobs, newest first, page by page as they are asked for. */
  list({ states = [], labels = {}, modelId, ...options }: JobFilter = {}): AsyncGenerator<Job> {
    const query = new URLSearchParams(modelId === undefined ? {} : { modelId });
    for (const state of states) query.append('state', state);
    for (const [key, value] of Object.entries(labels)) query.append('label', `${key}=${value}`);
    return pages(this.#transport, '/jobs', query, options);
  }

  /**
   * Waits for the end of a job, also while the service restarts or the network is away.
   * @returns the job as it ended: succeeded, failed, canceled or expired; `gates.passed` says what became of its gates
   * @throws TritforgeError WAIT_TIMEOUT, SERVICE_UNREACHABLE; ProblemError
   * @example
   * const ended = await client.jobs.wait(job.id, { timeoutMs: 3_600_000, onProgress: ({ state, phase }) => console.log(state, phase) });
   */
  wait(id: string, options: WaitOptions = {}): Promise<Job> {
    return waitForJob(this.#transport, id, options);
  }

  /** Cancels a job, at once. @throws ProblemError JOB_ALREADY_ENDED, JOB_NOT_FOUND and others */
  cancel(id: string, options: PostOptions = {}): Promise<Job> {
    return this.#transport.json({ ...options, method: 'POST', path: `${pathOf(id)}/cancel` });
  }

  /** What a job measured. @throws ProblemError REPORT_NOT_READY, REPORT_UNAVAILABLE and others */
  report(id: string, { signal }: CallOptions = {}): Promise<Report> {
    return this.#transport.json({ method: 'GET', path: `${pathOf(id)}/report`, signal });
  }

  /** The same as one HTML file for people. @throws as {@link Jobs.report} */
  reportPage(id: string, { signal }: CallOptions = {}): Promise<string> {
    return this.#transport.send({ method: 'GET', path: `${pathOf(id)}/report.html`, signal }, async (response) => {
      if (response.headers.get('content-type')?.startsWith('text/html')) return response.text();
      throw notTheService(this.#transport.url, 'answered without a page');
    });
  }

  /** What a job made; empty before it has succeeded. @throws ProblemError JOB_NOT_FOUND and others */
  async artifacts(id: string, { signal }: CallOptions = {}): Promise<readonly Artifact[]> {
    const path = `${pathOf(id)}/artifacts`;
    const { items } = await this.#transport.json<{ items: Artifact[] }>({ method: 'GET', path, signal });
    return items;
  }
}

function pathOf(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
