import { createReadStream, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isTerminal, type Job, type Phase } from '@tritforge/contracts';
import { inspectDatasetInChild, inspectModelInChild } from '@tritforge/quant-core/process';
import {
  deployMigrations,
  type JobClaim,
  type NewJob,
  openStore,
  type Store,
  type StoreConfig,
  startEmbeddedPostgres,
} from '@tritforge/store';
import { readConfig, type WorkerConfig } from '../config.js';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/shapes/', import.meta.url));
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
    exampleJob: await uploadExample(store),
    close: async () => {
      await store.close();
      await postgres.destroy();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function uploadExample(store: Store): Promise<NewJob> {
  const modelPath = join(EXAMPLE, 'model.onnx');
  const datasetPath = join(EXAMPLE, 'calibration.npz');
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

/** The store, with `onPhase` called, and waited for, whenever a worker has stored that a job has come to a phase. */
export function watchPhases(store: Store, onPhase: (claim: JobClaim, phase: Phase) => unknown): Store {
  const phases = new Map<string, Phase>();
  return {
    ...store,
    jobs: {
      ...store.jobs,
      heartbeat: async (claim, update) => {
        const holds = await store.jobs.heartbeat(claim, update);
        if (update !== undefined && phases.get(claim.token) !== update.phase) {
          phases.set(claim.token, update.phase);
          await onPhase(claim, update.phase);
        }
        return holds;
      },
    },
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
  return (await store.jobs.listEvents(id)).filter(({ to }) => isTerminal(to)).length;
}
