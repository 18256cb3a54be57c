import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { deriveNetwork, isFree, namedWidths, plainOrders, repeated, widthGraph } from '@tritforge/quant-core/nce';
import { readModel, writeModel } from '@tritforge/quant-core/onnx';
import type { RealModel } from '../shared-data/datasets.js';
import { CIFAR_PREPROCESS, trainFromScratch } from '../train-fp32/train-from-scratch.js';

/** Of a network in floating point, from random weights. */
const TRAINING = { epochs: 30, batch: 64, threads: 2, learningRate: 0.1 };

/**
 * The network of a seed in floating point, trained on what all others are trained on. It is made where it is not there yet.
 * @param original whose graph it has
 * @param folder of networks, and of the states of trainings that were interrupted
 */
export async function trainedNetwork(original: RealModel, seed: number, folder: string): Promise<RealModel> {
  const own = (suffix: string) => path.join(folder, `${original.name} ${seed}${suffix}`);
  const modelPath = own('.onnx');
  const preprocess = path.join(folder, 'preprocess.json');
  await writeFile(preprocess, JSON.stringify(CIFAR_PREPROCESS));
  if (!(await exists(modelPath))) {
    const [scratchDir, unfinished, checkpoint] = [own('.scratch'), own('.part.onnx'), own('.training')];
    await mkdir(scratchDir, { recursive: true });
    const files = {
      modelPath: original.modelPath,
      trainingTar: original.training!,
      outputPath: unfinished,
      scratchDir,
    };
    await trainFromScratch({ ...TRAINING, seed, checkpoint }, files);
    await rename(unfinished, modelPath);
    await rm(scratchDir, { recursive: true });
    await rm(checkpoint, { force: true });
  }
  // The JPEG images of the test alone, as those of the training are.
  return { ...original, modelPath, preprocess, evaluation: original.furtherEvaluations[0]!, furtherEvaluations: [] };
}

/**
 * A network with other widths; its weights are copies of the original's, for {@link trainedNetwork} to begin anew.
 * @param widths channels by layer
 */
export async function withWidths(
  original: RealModel,
  widths: Readonly<Record<string, number>>,
  folder: string,
): Promise<RealModel> {
  const model = await readModel(original.modelPath);
  const graph = await widthGraph(model);
  const searched = graph.widths.filter(isFree).map(({ id }) => id);
  const fixed = graph.widths.filter((width) => !isFree(width)).map((width) => ({ width, reasons: width.pins }));
  const sources = repeated(plainOrders(graph), namedWidths(widths, { graph, searched, fixed }));
  const name = `${original.name} ${Object.values(widths).join(' ')}`;
  const modelPath = path.join(folder, `${name}.graph.onnx`);
  await writeModel(await deriveNetwork(model, graph, sources), modelPath);
  return { ...original, name, modelPath };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
