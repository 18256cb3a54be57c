/** One search of `auto`, a process of its own: takes an {@link AutoRequest} as JSON and prints an {@link AutoMeasurement}. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Recipe } from '@tritforge/contracts';
import { createOnnxRuntime, quantize } from '@tritforge/quant-core';
import type { RealModel } from '../shared-data/datasets.js';
import { jobRequest } from '../shared-data/job-request.js';
import type { AutoRow } from './page.js';

export interface AutoRequest {
  readonly model: RealModel;
  readonly recipe: Recipe;
  readonly calibrationSamples: number;
}

export type AutoMeasurement = Pick<AutoRow, 'accuracy' | 'chosen' | 'frontier' | 'seconds'>;

const request = JSON.parse(process.argv[2]!) as AutoRequest;
const folder = await mkdtemp(path.join(os.tmpdir(), 'tritforge-bench-auto-'));
try {
  process.stdout.write(JSON.stringify(await measure(request)));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure({ model, recipe, calibrationSamples }: AutoRequest): Promise<AutoMeasurement> {
  const start = performance.now();
  const { accuracy, artifacts, frontier } = await quantize(
    { ...(await jobRequest(model, folder)), recipe, maxCalibrationSamples: calibrationSamples },
    { runtime: createOnnxRuntime() },
  );
  const seconds = (performance.now() - start) / 1000;
  return { accuracy: accuracy!, chosen: artifacts[0]!.fileName, frontier: frontier!, seconds };
}
