import { stat } from 'node:fs/promises';
import { fileDigest } from '../file-digest.js';
import { type ModelInspection, summarizeModel } from '../inspect.js';
import { type Model, type Tensor, walkGraphs } from '../ir/index.js';

/** What a report says of the model that was uploaded. */
export interface OriginalModel {
  readonly inspection: ModelInspection;
  readonly digest: string;
  /** The model file, and those with external data that it refers to. */
  readonly files: readonly string[];
  /** Of all of them. */
  readonly sizeBytes: number;
}

/** @param model as it was read, before anything changed it */
export async function describeOriginal(modelPath: string, model: Model): Promise<OriginalModel> {
  const files = await filesOf(modelPath, model);
  const sizes = await Promise.all(files.map(async (path) => (await stat(path)).size));
  return {
    inspection: summarizeModel(model),
    digest: await fileDigest(modelPath),
    files,
    sizeBytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

async function filesOf(modelPath: string, model: Model): Promise<string[]> {
  const paths = new Set<string>();
  const own = await stat(modelPath);
  const add = ({ data }: Tensor) => data.kind === 'file' && paths.add(data.path);
  walkGraphs(model, ({ graph }) => {
    for (const tensor of graph?.initializers.values() ?? []) add(tensor);
  });
  const files = [modelPath];
  for (const path of paths) {
    const found = await stat(path);
    if (found.ino !== own.ino || found.dev !== own.dev) files.push(path);
  }
  return files;
}
