/**
 * What quantizing ResNet-50 costs: seconds by phase and by layer, and memory.
 *
 *     npm run bench -- resnet50-cost [--images 256] [--group-size 64,4] [--solver-threads N] [--write]
 *
 * The topology with random weights of 25 million parameters, calibrated on images of the folder with test data: which ones decides
 * about the result and not about the time. Each job is a process of its own. --write replaces bench/results/resnet50-cost.md.
 * Linux only.
 */
import { parseArgs } from 'node:util';
import { sharedData } from '@tritforge/quant-core/testing';
import { measureJob } from './job-cost/measure-job.js';
import { costPage, type NamedCost } from './job-cost/page.js';
import { writePage } from './job-cost/write-page.js';
import { findNetworks } from './models/networks.js';

const IMAGES = sharedData('sets', 'imagenet_eli1000_256.tar');
const PREPROCESS = { resize: { shortSide: 256 }, centerCrop: 224, scale: 1 / 255, mean: 0.5, std: 0.25 };

const { values: options } = parseArgs({
  options: {
    images: { type: 'string', default: '256' },
    'group-size': { type: 'string', default: '64,4' },
    'solver-threads': { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

await writePage('resnet50-cost', options.write, measure);

async function measure(folder: string): Promise<string> {
  const { networks, missing } = await findNetworks(folder);
  const network = networks.find(({ name }) => name.startsWith('ResNet-50'));
  if (network === undefined) throw new Error(missing.join('; '));
  const threads = options['solver-threads'];
  const costs: NamedCost[] = [];
  for (const groupSize of options['group-size'].split(',').map(Number)) {
    process.stderr.write(`N = ${groupSize}\n`);
    const cost = await measureJob(folder, {
      modelPath: network.modelPath,
      recipe: { weights: { groupSize: groupSize as 4 | 64 } },
      calibration: { path: IMAGES, preprocess: PREPROCESS },
      maxCalibrationSamples: Number(options.images),
      solverThreads: threads === undefined ? undefined : Number(threads),
    });
    costs.push({ name: `N = ${groupSize}`, cost });
  }
  const command = `resnet50-cost --images ${options.images}${threads === undefined ? '' : ` --solver-threads ${threads}`}`;
  const about = `The default recipe (error feedback toward the outputs of the original, 8-bit activations) on ${options.images} images of 224². The phase
\`quantize\` runs both networks layer by layer, takes moments, and solves; a layer's seconds are all of that.`;
  return costPage('The cost of quantizing ResNet-50', command, about, costs);
}
