/**
 * Times steps of training (forward, backward, update) against PyTorch on the CPU, on one thread.
 *
 *     python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/accuracy-requirements.txt
 *     npm run bench -- training-speed --python /tmp/peers/bin/python [--network ResNet-20] [--rounds 40] [--compile] [--write]
 *
 * ResNet-20 at batch 64 and the topology of ResNet-50 at batch 8, with batch normalization in training mode and frozen. Ours and both
 * of PyTorch's memory layouts take turns, step by step. Ours run in the environment of engine processes, which asks for huge pages; PyTorch
 * as it is, and in the same environment. --rounds are those of ResNet-20, of larger networks a quarter. --compile adds
 * torch.compile. Pin it to a core where others use the machine. --write replaces bench/results/training-speed.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ENGINE_ENVIRONMENT } from '@tritforge/quant-core/process';
import { writePage } from './job-cost/write-page.js';
import { type TrainedNetwork, trainedNetworks } from './training-speed/networks.js';
import { ourStepper } from './training-speed/our-step.js';
import { type Comparison, trainingPage } from './training-speed/page.js';
import { startPeer } from './training-speed/peer-step.js';
import { timeInTurns } from './training-speed/rounds.js';

const LARGE_IMAGE = 128;
const OURS = ['standard operators', 'native operators'] as const;

const { values: options } = parseArgs({
  options: {
    python: { type: 'string' },
    network: { type: 'string', default: '' },
    mode: { type: 'string', default: 'training,frozen' },
    rounds: { type: 'string', default: '40' },
    compile: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

const { GLIBC_TUNABLES, ...plainEnvironment } = process.env;
// The C library reads it when a process starts.
if (GLIBC_TUNABLES === ENGINE_ENVIRONMENT.GLIBC_TUNABLES) await writePage('training-speed', options.write, measure);
else process.exitCode = againAsEngine();

function againAsEngine(): number {
  const env = { ...process.env, ...ENGINE_ENVIRONMENT };
  return spawnSync(process.execPath, process.argv.slice(1), { env, stdio: 'inherit' }).status ?? 1;
}

async function measure(folder: string): Promise<string> {
  const { python, network, rounds } = options;
  if (python === undefined) throw new Error('Usage: npm run bench -- training-speed --python PYTHON [--write]');
  const comparisons: Comparison[] = [];
  let torch = '';
  for (const trained of await trainedNetworks(folder, network))
    for (const mode of options.mode.split(',')) {
      process.stderr.write(`${trained.name}, ${mode}\n`);
      const { version, ...comparison } = await compare(trained, mode === 'training', python, folder);
      torch = version;
      comparisons.push(comparison);
    }
  return trainingPage(
    comparisons,
    `training-speed --python PYTHON --rounds ${rounds}${options.compile ? ' --compile' : ''}`,
    torch,
    OURS,
  );
}

async function compare(
  network: TrainedNetwork,
  batchStatistics: boolean,
  python: string,
  folder: string,
): Promise<Comparison & { version: string }> {
  const scratch = join(folder, `${network.name}-${batchStatistics}`);
  await mkdir(scratch);
  const isLarge = network.image.at(-1)! > LARGE_IMAGE;
  const rounds = Math.ceil(Number(options.rounds) / (isLarge ? 4 : 1));
  const layouts = ['contiguous', 'channels_last'].flatMap((layout) =>
    options.compile ? [layout, `${layout}+compile`] : [layout],
  );
  const environments = [
    { suffix: '', env: plainEnvironment },
    { suffix: ', huge pages', env: process.env },
  ];
  const peers = await Promise.all(
    environments.map(({ env }) => startPeer(python, network, { batchStatistics, layouts, env })),
  );
  const ours = await Promise.all(
    [false, true].map((native) => ourStepper(network, { batchStatistics, native, folder: scratch })),
  );
  try {
    const steppers = new Map([
      ...OURS.map((name, i) => [name, ours[i]!] as const),
      ...peers.flatMap((peer, i) =>
        layouts.map((layout) => [`PyTorch ${layout}${environments[i]!.suffix}`, peer.stepper(layout)] as const),
      ),
    ]);
    const timings = await timeInTurns(steppers, rounds);
    return {
      network: network.name,
      batch: network.batch,
      batchStatistics,
      rounds,
      timings,
      version: peers[0]!.version,
    };
  } finally {
    for (const stepper of ours) await stepper.close();
    for (const peer of peers) await peer.close();
  }
}
