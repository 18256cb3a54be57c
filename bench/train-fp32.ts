/**
 * Trains ResNet-8 on CIFAR-10 from random weights and labels, and measures it on the test set.
 *
 *     npm run bench -- train-fp32 [--epochs 14] [--threads 2] [--batch 64] [--rate 0.1] [--seed 1] [--checkpoint FILE] [--write]
 *
 * Takes the raw data from TRITFORGE_TEST_DATA. With --checkpoint a training that was interrupted goes on; with --write the page becomes
 * bench/results/train-fp32.md.
 */
import { parseArgs } from 'node:util';
import { writePage } from './job-cost/write-page.js';
import { trainingPage } from './train-fp32/page.js';
import { trainOne } from './train-fp32/train-one.js';

const { values: options } = parseArgs({
  options: {
    epochs: { type: 'string', default: '14' },
    threads: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
    rate: { type: 'string', default: '0.1' },
    seed: { type: 'string', default: '1' },
    checkpoint: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const settings = {
  epochs: Number(options.epochs),
  threads: Number(options.threads),
  batch: Number(options.batch),
  learningRate: Number(options.rate),
  seed: Number(options.seed),
  checkpoint: options.checkpoint,
};

await writePage('train-fp32', options.write, async (folder) =>
  trainingPage(settings, await trainOne(settings, folder)),
);
