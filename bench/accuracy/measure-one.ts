/** One row of `accuracy`, a process of its own: takes a {@link RowRequest} as JSON and prints a `Measurement`. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Phase, Recipe, Report } from '@tritforge/contracts';
import { createOnnxRuntime, quantize } from '@tritforge/quant-core';
import type { RealModel } from '../shared-data/datasets.js';
import { jobRequest } from '../shared-data/job-request.js';
import { compareOnSet } from './compare-on-set.js';
import { PhaseClock } from './phase-clock.js';
import type { LayerCounts, Measurement, SetAccuracy } from './rows.js';

/** What to quantize, and how. */
export interface RowRequest {
  readonly model: RealModel;
  readonly recipe: Recipe;
  /** Train on the model's training set, in place of the one for calibration. */
  readonly usesTrainingSet?: boolean;
  /** Where an interrupted measurement goes on from. */
  readonly checkpointDir?: string;
}

const QUANTIZING: readonly Phase[] = ['search', 'calibrate', 'quantize'];

const { model, recipe, usesTrainingSet, checkpointDir } = JSON.parse(process.argv[2]!) as RowRequest;
const folder = await mkdtemp(path.join(os.tmpdir(), 'tritforge-bench-accuracy-'));
try {
  process.stdout.write(JSON.stringify(await measure(folder)));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(folder: string): Promise<Measurement> {
  const request = await jobRequest(model, folder);
  const clock = new PhaseClock();
  const report = await quantize(
    {
      ...request,
      recipe,
      ...(usesTrainingSet && { training: { ...request.calibration, path: model.training! } }),
      ...(checkpointDir && { checkpointDir }),
    },
    { runtime: createOnnxRuntime(), onProgress: ({ phase }) => clock.enter(phase) },
  );
  const { totalSeconds, secondsIn } = clock.stop();
  const artifact = report.artifacts[0]!;
  const artifactPath = path.join(folder, artifact.fileName);
  const { int8: _, ...first } = report.accuracy!;
  const accuracies: SetAccuracy[] = [{ dataset: path.basename(model.evaluation), ...first }];
  for (const set of model.furtherEvaluations) {
    const comparison = { originalPath: model.modelPath, artifactPath, set, metric: model.metric, scratchDir: folder };
    accuracies.push(await compareOnSet({ ...comparison, preprocess: request.evaluation.preprocess ?? null }));
  }
  return {
    accuracies,
    bitsPerWeight: artifact.bitsPerWeight,
    sizeBytes: artifact.sizeBytes,
    layers: countLayers(report),
    quantizeSeconds: QUANTIZING.reduce((sum, phase) => sum + (secondsIn.get(phase) ?? 0), 0),
    jobSeconds: totalSeconds,
    // Node gives kilobytes of 1024 on every system.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ...(report.fineTune && { fineTune: report.fineTune }),
    ...(report.nce && { nce: report.nce }),
  };
}

function countLayers({ layers }: Report): LayerCounts {
  const count = (is: (applied: Report['layers'][number]['applied']) => boolean) =>
    layers.filter(({ applied }) => is(applied)).length;
  return {
    ternary: count(({ bits }) => bits === 2),
    secondPlanes: count(({ planes }) => planes === 2),
    int4: count(({ bits }) => bits === 4),
    int8: count(({ bits }) => bits === 8),
    fourBitInputs: count(({ activationBits }) => activationBits === 4),
  };
}
