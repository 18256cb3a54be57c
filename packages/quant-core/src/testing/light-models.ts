import { basename, join } from 'node:path';
import { writeNpz } from '../data/index.js';
import { syntheticFeeds } from '../evaluate/index.js';
import { elementCount } from '../ir/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { giveRandomWeights } from './random-weights.js';

/** Where the published topologies without weights are, in the folder with real models and data. */
export const LIGHT_MODELS = 'peers/onnx_light_models.tar.gz';

/** Gives a topology random weights and writes it under its own name into the folder. @returns the new path */
export async function materialize(lightPath: string, folder: string, seed: number): Promise<string> {
  const model = await readModel(lightPath);
  await giveRandomWeights(model, seed);
  const path = join(folder, basename(lightPath).replace(/^light_/, ''));
  await writeModel(model, path);
  return path;
}

/** Writes samples of uniform noise for a model with one input and a batch of one. */
export async function writeNoise(modelPath: string, path: string, samples: number): Promise<void> {
  const session = await createOnnxRuntime().load(modelPath, { threads: 1, optimization: 'none' });
  await session.release();
  const { name, shape } = session.inputs[0]!;
  const perSample = elementCount(shape as number[]);
  const data = new Float32Array(samples * perSample);
  for (let i = 0; i < samples; i++) {
    data.set(syntheticFeeds(session.inputs, i).get(name)!.data as Float32Array, i * perSample);
  }
  await writeNpz(path, new Map([[name, { dtype: 'float32', shape: [samples, ...shape.slice(1)] as number[], data }]]));
}
