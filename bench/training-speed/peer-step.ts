import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TrainedNetwork } from './networks.js';
import type { Stepper } from './our-step.js';

const SCRIPT = fileURLToPath(new URL('../../peers/training_speed.py', import.meta.url));

/** A Python process that makes a step with PyTorch for each line it is sent. */
export interface Peer {
  /** Such as `2.15.0`. */
  readonly version: string;
  stepper(layout: string): Stepper;
  close(): Promise<void>;
}

export interface PeerOptions {
  readonly batchStatistics: boolean;
  readonly layouts: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export async function startPeer(
  python: string,
  { modelPath: model, batch, image, classes }: TrainedNetwork,
  { batchStatistics, layouts, env }: PeerOptions,
): Promise<Peer> {
  const request = { model, batch, image, classes, batchStatistics, layouts };
  const child = spawn(python, [SCRIPT, JSON.stringify(request)], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ended; what it said is above`);
    return JSON.parse(value) as T;
  };
  const { torch: version } = await next<{ torch: string }>();
  return {
    version,
    stepper: (layout) => ({
      async step() {
        child.stdin.write(`${layout}\n`);
        return next();
      },
      close: async () => {},
    }),
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
