/** What pipelines do all day, in a process of its own: upload, submit, follow, download, delete. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeClient } from '@tritforge/client';
import type { Job } from '@tritforge/contracts';
import { samples } from '#test/support/datasets';
import { classifier } from '#test/support/models';
import { latenciesOf } from './latencies.js';
import { makeLoad } from './load-process.js';
import type { SoakPlan, SoakResult } from './soak-plan.js';
import { openStream } from './stream-reader.js';

/** Between the beginnings of two pipelines, so that two cores are busy for about half of the time. */
const PIPELINE_MS = 4000;
const POLL_MS = 200;
const SAMPLES = 16;
/** One of so many pipelines deletes nothing. */
const KEPT = 4;

class Soak {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #client: TritforgeClient;
  readonly #agent = new Agent();
  readonly #jobs: { readonly id: string; isDeleted: boolean }[] = [];
  readonly #problems: string[] = [];
  readonly #pollsMs: number[] = [];
  #downloads = 0;
  #streams = 0;

  constructor(url: string, key: string, folder: string) {
    this.#url = url;
    this.#headers = { authorization: `Bearer ${key}` };
    this.#folder = folder;
    this.#client = new TritforgeClient({ url, apiKey: key });
  }

  result(): SoakResult {
    return {
      jobs: this.#jobs,
      downloads: this.#downloads,
      streams: this.#streams,
      polls: this.#pollsMs.length,
      pollLatencies: latenciesOf(this.#pollsMs),
      problems: this.#problems,
    };
  }

  /** Asks for the newest job and for a list of jobs, again and again. */
  async poll(stopped: AbortSignal): Promise<void> {
    for (let number = 0; !stopped.aborted; number++) {
      const newest = this.#jobs.findLast(({ isDeleted }) => !isDeleted);
      const path = newest === undefined || number % 2 === 0 ? '/jobs?limit=20' : `/jobs/${newest.id}`;
      try {
        const startMs = performance.now();
        const { status } = await this.#ask('GET', path);
        this.#pollsMs.push(performance.now() - startMs);
        // It may be deleted between the two.
        if (status !== 200 && status !== 404) this.#problems.push(`${path} was answered ${status}`);
      } catch (error) {
        this.#problems.push(`${path}: ${error instanceof Error ? error.message : error}`);
      }
      await sleep(POLL_MS);
    }
  }

  /** One model from its upload to its artifact and, most of them, to its end. */
  async pipeline(number: number): Promise<void> {
    const folder = await mkdtemp(join(this.#folder, 'pipeline-'));
    try {
      const job = await this.#submit(number, folder);
      const known = { id: job.id, isDeleted: false };
      this.#jobs.push(known);
      await this.#end(job.id, number);
      await this.#download(job.id, folder);
      if (number % KEPT === 0) return;
      await this.#delete(`/jobs/${job.id}`);
      known.isDeleted = true;
      await this.#delete(`/models/${job.modelId}`);
      await this.#delete(`/datasets/${job.datasets.calibration}`);
    } catch (error) {
      this.#problems.push(`pipeline ${number}: ${error instanceof Error ? error.message : error}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** With its files in one form, or with files that were sent before. */
  async #submit(number: number, folder: string): Promise<Job> {
    const model = { path: join(folder, 'model.onnx') };
    const calibration = { path: join(folder, 'calibration.npz') };
    await writeFile(model.path, classifier(number));
    await writeFile(calibration.path, samples(SAMPLES, number));
    if (number % 2 === 0) return this.#client.jobs.create({ model, datasets: { calibration }, recipe: {} });
    const [{ id: modelId }, { id: datasetId }] = [
      await this.#client.models.upload(model),
      await this.#client.datasets.upload(calibration),
    ];
    return this.#client.jobs.create({ model: modelId, datasets: { calibration: datasetId }, recipe: {} });
  }

  /** Waits for the end of a job by its stream, or by asking. */
  async #end(id: string, number: number): Promise<void> {
    if (number % 3 === 0) {
      const stream = await openStream(this.#agent, this.#url, `/jobs/${id}/events`, this.#headers);
      await stream.ended;
      this.#streams++;
      const ids = stream.events.map((event) => event.id);
      if (ids.some((one, i) => i > 0 && one <= ids[i - 1]!)) this.#problems.push(`events of ${id} came out of order`);
    }
    const { state, error } = await this.#client.jobs.wait(id);
    if (state !== 'succeeded') throw new Error(`the job ended as ${state}: ${error?.message}`);
  }

  async #download(id: string, folder: string): Promise<void> {
    for (const artifact of await this.#client.jobs.artifacts(id)) {
      const paths = await this.#client.artifacts.download(artifact, folder);
      const digest = createHash('sha256')
        .update(await readFile(paths[0]!))
        .digest('hex');
      if (artifact.digest !== `sha256:${digest}`) throw new Error(`artifact ${artifact.id} has the digest ${digest}`);
      this.#downloads++;
    }
  }

  async #delete(path: string): Promise<void> {
    const { status } = await this.#ask('DELETE', path);
    if (status !== 204) throw new Error(`DELETE ${path} was answered ${status}`);
  }

  async #ask(method: string, path: string): Promise<Response> {
    const response = await fetch(`${this.#url}${path}`, { method, headers: this.#headers });
    await response.arrayBuffer();
    return response;
  }
}

// Behind the class: what stands here runs as soon as it is read.
await makeLoad(async ({ url, key, folder }: SoakPlan, { stopped }): Promise<SoakResult> => {
  const soak = new Soak(url, key, folder);
  const polling = soak.poll(stopped);
  const pipelines: Promise<void>[] = [];
  for (let number = 0; !stopped.aborted; number++) {
    pipelines.push(soak.pipeline(number));
    await sleep(PIPELINE_MS, undefined, { signal: stopped }).catch(() => {});
  }
  await Promise.all([polling, ...pipelines]);
  return soak.result();
});
