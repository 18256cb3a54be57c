/**
 * Times steps of training (forward, backward, update) against PyTorch on the CPU, on one thread.
 *
 *     python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/accuracy-requirements.txt
 *     npm run bench -- training-speed --python /tmp/peers/bin/python [--network ResNet-20] [--rounds 40] [--compile] [--write]
 *
 * ResNet-20 at batch 64 and the topology of ResNet-50 at batch 8, with batch normalization in training mode and frozen. Ours and both
 * of PyTorch's memory layouts take turns, step by step. --rounds are those of ResNet-20, of larger networks a quarter. --compile adds
 * torch.compile. Pin it to a core where others use the machine. --write replaces bench/results/training-speed.md.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
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

await writePage('training-speed', options.write, measure);

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
  const peer = await startPeer(python, network, { batchStatistics, layouts });
  const ours = await Promise.all(
    [false, true].map((native) => ourStepper(network, { batchStatistics, native, folder: scratch })),
  );
  try {
    const steppers = new Map([
      ...OURS.map((name, i) => [name, ours[i]!] as const),
      ...layouts.map((layout) => [`PyTorch ${layout}`, peer.stepper(layout)] as const),
    ]);
    const timings = await timeInTurns(steppers, rounds);
    return { network: network.name, batch: network.batch, batchStatistics, rounds, timings, version: peer.version };
  } finally {
    for (const stepper of ours) await stepper.close();
    await peer.close();
  }
}
