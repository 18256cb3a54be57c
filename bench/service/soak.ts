/** Whether memory stays flat and nothing is lost while a service works for long. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { childrenOf, memoryOf, sharedMemoryOf } from '../shared/process-memory.js';
import { startLoad } from './load-process.js';
import type { MemorySample, SoakRow } from './rows.js';
import { fateOf, type RunningService, withService } from './running-service.js';
import type { SoakPlan, SoakResult } from './soak-plan.js';

const SCRIPT = fileURLToPath(new URL('./soak-pipelines.js', import.meta.url));
const SAMPLE_MS = 10_000;

export async function measureSoak(minutes: number, onSample: (sample: MemorySample) => void): Promise<SoakRow> {
  return withService({ workers: 1 }, async (service) => {
    const folder = join(service.stack.dataDir, 'pipelines');
    await mkdir(folder);
    const plan: SoakPlan = { url: service.stack.url, key: service.keys[0]!, folder };
    const pipelines = startLoad<SoakPlan, SoakResult>(SCRIPT, plan);
    const samples: MemorySample[] = [];
    const startMs = performance.now();
    const endMs = startMs + minutes * 60_000;
    while (performance.now() < endMs) {
      // A result now is a process that died.
      await Promise.race([sleep(Math.min(SAMPLE_MS, endMs - performance.now())), pipelines.result]);
      samples.push(sample(service, (performance.now() - startMs) / 1000));
      onSample(samples.at(-1)!);
    }
    pipelines.stop();
    const { jobs, ...result } = await pipelines.result;
    const deleted = jobs.filter(({ isDeleted }) => isDeleted).map(({ id }) => id);
    return {
      part: 'soak',
      minutes,
      pipelines: jobs.length,
      deleted: deleted.length,
      ...result,
      samples,
      jobs: await fateOf(
        service,
        jobs.map(({ id }) => id),
        deleted,
      ),
    };
  });
}

function sample({ stack }: RunningService, seconds: number): MemorySample {
  return {
    seconds,
    api: memoryOf(stack.api.pid!).residentBytes,
    worker: memoryOf(stack.workers[0]!.pid!).residentBytes,
    postgres: sharedMemoryOf([stack.postgresPid, ...childrenOf(stack.postgresPid)]),
  };
}
