import { Artifacts } from './artifacts.js';
import { Datasets } from './datasets.js';
import { FileSender } from './files/form.js';
import { Transport } from './http/transport.js';
import { Jobs } from './jobs/jobs.js';
import { Models } from './models.js';
import type { ClientOptions } from './options.js';

/**
 * A client of a Tritforge service. Requests are sent again while their failures pass, each POST with an Idempotency-Key, so that nothing
 * is done twice. It needs nothing but Node.
 *
 * @example
 * const client = new TritforgeClient({ url: 'https://tritforge.example', apiKey: process.env.TRITFORGE_API_KEY });
 * const { id } = await client.jobs.create({ model: { path: 'model.onnx' }, recipe: { activations: { bits: null } } });
 * const job = await client.jobs.wait(id);
 * if (job.state !== 'succeeded') throw new Error(`${job.error?.code}: ${job.error?.message}`);
 * for (const artifact of await client.jobs.artifacts(id)) await client.artifacts.download(artifact, 'out');
 */
export class TritforgeClient {
  readonly models: Models;
  readonly datasets: Datasets;
  readonly jobs: Jobs;
  readonly artifacts: Artifacts;

  /** @throws TypeError when the address or the key cannot be one */
  constructor(options: ClientOptions) {
    const transport = new Transport(options);
    const files = new FileSender(transport, options.resumeFromBytes);
    this.models = new Models(transport, files);
    this.datasets = new Datasets(transport, files);
    this.jobs = new Jobs(transport, files);
    this.artifacts = new Artifacts(transport);
  }
}
