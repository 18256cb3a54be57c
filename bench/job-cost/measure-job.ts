import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { QuantizeRequest } from '@tritforge/quant-core';
import { MemoryWatch, type Peak } from '../large-model/memory-watch.js';

const CHILD = fileURLToPath(new URL('./run-job.js', import.meta.url));

/** What one layer took of the phase `quantize`: its inputs, their moments, and its codes. */
export interface LayerCost {
  readonly node: string;
  readonly shape: readonly number[];
  /** K. */
  readonly columns: number;
  readonly bits: number;
  readonly seconds: number;
}

/** What the process of the job says about itself. */
interface Outcome {
  readonly totalSeconds: number;
  /** By phase. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly layers: readonly LayerCost[];
  /** The time left as it was told after a share of the time, and as it became. */
  readonly expectations: readonly {
    readonly share: number;
    readonly leftSeconds: number | null;
    readonly foundSeconds: number;
  }[];
  readonly digest: string;
  readonly bitsPerWeight: number | null;
}

export type CostMessage = { readonly phase: string } | { readonly outcome: Outcome };

/** What a job took. */
export interface JobCost extends Outcome {
  /** Largest memory of its process, by phase and in all. */
  readonly memory: readonly { readonly stage: string; readonly peak: Peak }[];
  readonly largest: Peak;
}

/** Runs a request in a process of its own, with folders below `folder` that are removed again. Linux only. */
export async function measureJob(
  folder: string,
  request: Omit<QuantizeRequest, 'outputDir' | 'scratchDir' | 'fileStem'>,
): Promise<JobCost> {
  const place = await mkdtemp(join(folder, 'job-'));
  const [outputDir, scratchDir] = [join(place, 'out'), join(place, 'scratch')];
  for (const path of [outputDir, scratchDir]) await mkdir(path);
  const child = fork(CHILD, { serialization: 'advanced' });
  const watch = new MemoryWatch([{ role: 'job', childRole: 'none', pid: child.pid! }]);
  let outcome: Outcome | undefined;
  child.on('message', (message: CostMessage) => {
    if ('outcome' in message) outcome = message.outcome;
    else watch.enter(message.phase);
  });
  child.send({ ...request, outputDir, scratchDir, fileStem: 'model' } satisfies QuantizeRequest);
  try {
    const [code, signal] = await once(child, 'exit');
    if (outcome === undefined) throw new Error(`the job ended with ${signal ?? `exit code ${code}`}`);
    const memory = watch.peaksOf('job').filter(({ stage }) => stage !== '');
    return { ...outcome, memory, largest: watch.largest('job') };
  } finally {
    watch.stop();
    await rm(place, { recursive: true, force: true });
  }
}
