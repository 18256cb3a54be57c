/** A worker process for tests that kills itself with SIGKILL at a chosen point of its first job. */
import { openStore, type Store, type StoreConfig } from '@tritforge/store';
import { startTelemetry } from '@tritforge/telemetry';
import { pino } from 'pino';
import type { WorkerConfig } from '../config.js';
import { startWorker } from '../worker.js';
import { watchPhases } from './watch-phases.js';

/** What the process is told, as JSON, by its first argument. */
export interface DyingWorkerOptions {
  readonly storeConfig: StoreConfig;
  readonly config: WorkerConfig;
  /** A phase, right after the claim, or right after the job has ended in the database. */
  readonly dieAt: string;
}

const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('still alive');
};

function deadly(store: Store, dieAt: string): Store {
  const watched = watchPhases(store, (_, phase) => phase === dieAt && die());
  return {
    ...watched,
    jobs: {
      ...watched.jobs,
      claimNext: async (worker) => {
        const claim = await store.jobs.claimNext(worker);
        return claim !== null && dieAt === 'claimed' ? die() : claim;
      },
      finish: async (claim, outcome) => {
        const finished = await store.jobs.finish(claim, outcome);
        return dieAt === 'finished' ? die() : finished;
      },
    },
  };
}

const { storeConfig, config, dieAt } = JSON.parse(process.argv[2] ?? '') as DyingWorkerOptions;
const store = deadly(await openStore(storeConfig), dieAt);
const identity = { serviceName: 'dying-worker', version: '1', onProblem: () => {} };
const telemetry = await startTelemetry(config, identity);
await startWorker({ store, config, logger: pino({ level: 'silent' }), telemetry });
