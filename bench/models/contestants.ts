import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactProfile, Recipe } from '@tritforge/contracts';
import { kernelInfo } from '@tritforge/kernels';
import { createOnnxRuntime, quantize, writeNpz } from '@tritforge/quant-core';
import type { Network } from './networks.js';
import { noise } from './noise.js';

/** A file and what runs it: stock onnxruntime, or the same library with Tritforge's operators. */
export interface Contestant {
  readonly name: string;
  readonly modelPath: string;
  readonly engine: 'ort' | 'tritforge';
}

const CALIBRATION_SAMPLES = 4;
const CALIBRATION_SEED = 1;
/** The columns after fp32. Portable artifacts run in stock onnxruntime, accelerated ones with Tritforge's operators. */
const VARIANTS: readonly { readonly name: string; readonly recipe: Recipe; readonly profile: ArtifactProfile }[] = [
  { name: 'int8, ort', recipe: { method: 'int8' }, profile: 'portable' },
  {
    name: 'ternary × 8 bit, ort',
    recipe: { weights: { solver: 'exact' }, activations: { bits: 8 } },
    profile: 'portable',
  },
  { name: 'ternary × 4 bit, ort', recipe: { activations: { bits: 4, minimumSqnrDb: null } }, profile: 'portable' },
  { name: 'int8', recipe: { method: 'int8' }, profile: 'accelerated' },
  {
    name: 'ternary × 8 bit',
    recipe: { weights: { solver: 'exact' }, activations: { bits: 8 } },
    profile: 'accelerated',
  },
  { name: 'ternary × 4 bit', recipe: { activations: { bits: 4, minimumSqnrDb: null } }, profile: 'accelerated' },
];

/** Why nothing can be compared that needs Tritforge's operators, or null. */
export function missingOperators(): string | null {
  return kernelInfo().reason;
}

/** Quantizes a network in every way that is compared. Calibration is on noise: it decides about scales and not about speed. */
export async function makeContestants(network: Network, folder: string): Promise<Contestant[]> {
  await mkdir(folder, { recursive: true });
  const calibration = join(folder, 'noise.npz');
  const shape = [CALIBRATION_SAMPLES, ...network.sample];
  const count = shape.reduce((product, size) => product * size, 1);
  const data = noise(network.dtype, count, CALIBRATION_SEED);
  await writeNpz(calibration, new Map([[network.input, { dtype: network.dtype, shape, data }]]));
  const contestants: Contestant[] = [{ name: 'fp32, ort', modelPath: network.modelPath, engine: 'ort' }];
  for (const { name, recipe, profile } of VARIANTS) {
    if (profile === 'accelerated' && missingOperators() !== null) continue;
    const outputDir = join(folder, String(contestants.length));
    const modelPath = await quantizeTo(outputDir, network.modelPath, { ...recipe, artifacts: [profile] }, calibration);
    contestants.push({ name, modelPath, engine: profile === 'accelerated' ? 'tritforge' : 'ort' });
  }
  return contestants;
}

async function quantizeTo(outputDir: string, modelPath: string, recipe: Recipe, calibration: string): Promise<string> {
  const scratchDir = join(outputDir, 'scratch');
  await mkdir(scratchDir, { recursive: true });
  const report = await quantize(
    { modelPath, recipe, outputDir, scratchDir, fileStem: 'model', calibration: { path: calibration } },
    { runtime: createOnnxRuntime() },
  );
  return join(outputDir, report.artifacts[0]!.fileName);
}
