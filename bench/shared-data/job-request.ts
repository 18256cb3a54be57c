import { readFile } from 'node:fs/promises';
import type { Preprocess } from '@tritforge/contracts';
import type { RealModel } from './datasets.js';

/** Reads a model's preprocess description. */
export async function readPreprocess({ preprocess }: RealModel): Promise<Preprocess | null> {
  return preprocess === null ? null : (JSON.parse(await readFile(preprocess, 'utf8')) as Preprocess);
}

/** What a job on a real model is asked for besides its recipe, with one folder for everything. */
export async function jobRequest(model: RealModel, folder: string) {
  const preprocess = (await readPreprocess(model)) ?? undefined;
  return {
    modelPath: model.modelPath,
    outputDir: folder,
    scratchDir: folder,
    fileStem: 'model',
    calibration: { path: model.calibration, preprocess },
    evaluation: { path: model.evaluation, preprocess },
    metric: model.metric,
  };
}
