import { createReadStream, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isTerminal, type Job } from '@tritforge/contracts';
import { writeNpz } from '@tritforge/quant-core';
import { inspectDatasetInChild, inspectModelInChild } from '@tritforge/quant-core/process';
import {
  deployMigrations,
  type NewJob,
  openStore,
  type Store,
  type StoreConfig,
  startEmbeddedPostgres,
} from '@tritforge/store';
import { readConfig, type WorkerConfig } from '../config.js';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/shapes/', import.meta.url));
/** Few, so that a run takes half a second. */
const CALIBRATION_IMAGES = 8;
const LIMITS = { memoryBytes: 2 ** 30, wallClockMs: 30_000 };

/** A database with an example model and calibration data in it, and what it takes to run workers on it. */
export interface TestService {
  readonly store: Store;
  readonly config: WorkerConfig;
  readonly storeConfig: StoreConfig;
  /** A job on the example, ready for `submitJob`. */
  readonly exampleJob: NewJob;
  close(): Promise<void>;
}

/** Starts a PostgreSQL server of its own, in a temporary folder that `close` removes. */
export async function startTestService(storeOptions: Partial<StoreConfig> = {}): Promise<TestService> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tritforge-worker-'));
  // The server runs as another user when the tests run as root.
  await chmod(dataDir, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), ephemeral: true });
  const databaseUrl = postgres.databaseUrl('tritforge');
  await deployMigrations(databaseUrl);
  const storeConfig = { databaseUrl, blobDir: join(dataDir, 'blobs'), ...storeOptions };
  const store = await openStore(storeConfig);
  return {
    store,
    storeConfig,
    config: readConfig({ DATABASE_URL: databaseUrl, TRITFORGE_DATA_DIR: dataDir }),
    exampleJob: await uploadExample(store, dataDir),
    close: async () => {
      await store.close();
      await postgres.destroy();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function uploadExample(store: Store, folder: string): Promise<NewJob> {
  const modelPath = join(EXAMPLE, 'model.onnx');
  const datasetPath = join(folder, 'calibration.npz');
  await writeNpz(datasetPath, new Map([['image', images(CALIBRATION_IMAGES)]]));
  const preprocess = JSON.parse(readFileSync(join(EXAMPLE, 'preprocess.json'), 'utf8'));
  const stage = (path: string) => store.blobs.stage(createReadStream(path));
  const { layers: _, ...summary } = await inspectModelInChild(modelPath, { limits: LIMITS });
  const model = await store.models.create({ files: [{ name: 'model.onnx', blob: await stage(modelPath) }], summary });
  const dataset = await store.datasets.create({
    file: { name: 'calibration.npz', blob: await stage(datasetPath) },
    preprocess,
    summary: await inspectDatasetInChild({ path: datasetPath, preprocess }, { limits: LIMITS }),
  });
  return { modelId: model.value.id, recipe: {}, datasets: { calibration: dataset.value.id } };
}

/** Images of a few grey stripes, of the size that the example takes. */
function images(count: number) {
  const shape = [count, 3, 24, 24];
  return {
    dtype: 'uint8' as const,
    shape,
    data: Uint8Array.from({ length: count * 3 * 24 * 24 }, (_, i) => (i * 37) % 256),
  };
}

/** Waits until a job has ended. */
export async function ended(store: Store, id: string, timeoutMs = 60_000): Promise<Job> {
  const giveUpMs = Date.now() + timeoutMs;
  for (;;) {
    const job = await store.jobs.get(id);
    if (job !== null && isTerminal(job.state)) return job;
    if (Date.now() > giveUpMs)
      throw new Error(`job ${id} is still ${job?.state} (${job?.phase}) after ${timeoutMs} ms`);
    await sleep(50);
  }
}

/** How often the log of a job says that it ended. */
export async function terminalEvents(store: Store, id: string): Promise<number> {
  return (await store.events.read({ jobId: id })).filter(({ to }) => isTerminal(to)).length;
}
