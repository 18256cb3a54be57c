import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Recipe, Report } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import { type QuantizeRequest, quantize } from '../quantize.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { writeSmallNetwork } from './small-network.js';
import { temporaryFolder } from './temporary-folder.js';

/** A request on the small network, with folders of its own. */
export async function smallRequest(
  t: TestContext,
  recipe: Recipe,
  extra: Partial<QuantizeRequest> = {},
): Promise<QuantizeRequest> {
  const folder = temporaryFolder(t);
  const { modelPath, datasetPath } = await writeSmallNetwork(folder);
  const data = { path: datasetPath };
  return {
    modelPath,
    recipe,
    ...(await folders(folder)),
    fileStem: 'small',
    calibration: data,
    evaluation: data,
    ...extra,
  };
}

async function folders(folder: string): Promise<{ outputDir: string; scratchDir: string }> {
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  await mkdir(outputDir);
  await mkdir(scratchDir);
  return { outputDir, scratchDir };
}

/** Quantizes a model that is in memory, weights only. */
export async function quantizeModel(
  t: TestContext,
  model: Model,
  recipe: Recipe = {},
  extra: Partial<QuantizeRequest> = {},
): Promise<{ report: Report; request: QuantizeRequest }> {
  const folder = temporaryFolder(t);
  const modelPath = join(folder, 'model.onnx');
  await writeModel(model, modelPath);
  const request = {
    modelPath,
    recipe: { activations: { bits: null }, ...recipe },
    ...(await folders(folder)),
    fileStem: 'model',
    ...extra,
  };
  return { report: await quantize(request, { runtime: createOnnxRuntime() }), request };
}
