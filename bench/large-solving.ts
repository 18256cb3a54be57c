/**
 * What solving a model of some gigabytes costs: time, and memory by phase. Weights stay on disk, so memory goes by the largest layer.
 *
 *     npm run bench -- large-solving [--gigabytes 1.6] [--hidden 4096] [--sequences 128] [--group-size 64] [--solver-threads N] [--write]
 *
 * Generates a chain of MatMul layers with Relu as a decoder has them, and calibrates on sequences of 128 vectors of low rank. The job is
 * a process of its own. About ten times the model must fit in the folder for temporary files. --write replaces
 * bench/results/large-solving.md. Linux only.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeNpz } from '@tritforge/quant-core';
import { measureJob } from './job-cost/measure-job.js';
import { costPage } from './job-cost/page.js';
import { writePage } from './job-cost/write-page.js';
import { generateModel, INPUTS, normalNumbers } from './large-model/generate-model.js';

const GB = 1e9;
const TOKENS = 128;
const RANK = 96;
const SEED = 2;

const { values: options } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '1.6' },
    hidden: { type: 'string', default: '4096' },
    sequences: { type: 'string', default: '128' },
    'group-size': { type: 'string', default: '64' },
    'solver-threads': { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

await writePage('large-solving', options.write, measure);

async function measure(folder: string): Promise<string> {
  const { gigabytes, hidden, sequences } = options;
  const shape = { hidden: Number(hidden), isSequence: true };
  const { files } = await generateModel(folder, Number(gigabytes) * GB, 'external', shape);
  const threads = options['solver-threads'];
  const cost = await measureJob(folder, {
    modelPath: files[0]!,
    recipe: { weights: { groupSize: Number(options['group-size']) as 4 | 64 } },
    calibration: { path: await writeSequences(folder, Number(sequences)) },
    solverThreads: threads === undefined ? undefined : Number(threads),
  });
  const largest = 4 * Math.max(...cost.layers.map((layer) => layer.shape.reduce((all, size) => all * size, 1)));
  const quantize = cost.memory.find(({ stage }) => stage === 'quantize')!.peak;
  const beyond = (quantize.anonymousBytes - 3 * largest) / 1e6;
  const about = `A chain of ${cost.layers.length} MatMul layers with Relu, ${gigabytes} GB of weights, the largest layer ${(largest / 1e6).toFixed(0)} MB; ${sequences} sequences of ${TOKENS} vectors. The
default recipe. In the phase \`quantize\` the process's own memory is three times the largest layer and **${beyond.toFixed(0)} MB**.`;
  const command = `large-solving --gigabytes ${gigabytes} --hidden ${hidden} --sequences ${sequences}`;
  return costPage('The cost of solving a large model', command, about, [
    { name: `N = ${options['group-size']}`, cost },
  ]);
}

/** Relu of a few hidden causes and some noise. */
async function writeSequences(folder: string, count: number): Promise<string> {
  const random = normalNumbers(SEED);
  const loadings = Float32Array.from({ length: RANK * INPUTS }, () => random() / Math.sqrt(RANK));
  const data = new Float32Array(count * TOKENS * INPUTS);
  for (let start = 0; start < data.length; start += INPUTS) {
    for (let cause = 0; cause < RANK; cause++) {
      const strength = random();
      for (let i = 0; i < INPUTS; i++) data[start + i]! += strength * loadings[cause * INPUTS + i]!;
    }
    for (let i = start; i < start + INPUTS; i++) data[i] = Math.max(0, data[i]! + 0.1 * random());
  }
  const path = join(folder, 'sequences.npz');
  await writeNpz(path, new Map([['x', { dtype: 'float32', shape: [count, TOKENS, INPUTS], data }]]));
  return path;
}
