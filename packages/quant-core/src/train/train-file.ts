import { join } from 'node:path';
import { openDataset, planFeeds } from '../data/index.js';
import { fileDigest } from '../file-digest.js';
import { readModel, writeModel } from '../onnx/index.js';
import type { DatasetReference } from '../quantize-request.js';
import type { Runtime } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { prepareForTraining } from './prepare-for-training.js';
import { type TrainedNetwork, type TrainOptions, trainNetwork } from './train-network.js';

export interface TrainFileRequest extends Omit<TrainOptions, 'data'> {
  /** An .onnx file, its external data beside it. */
  readonly modelPath: string;
  /** Samples with labels. */
  readonly training: DatasetReference;
  /** Where the trained network is written. */
  readonly outputPath: string;
}

/** Larger results of constant nodes are left to onnxruntime. */
const MAX_FOLDED_BYTES = 2 ** 28;

/**
 * Trains the network in a file and writes it to another one.
 * @throws TritforgeError MODEL_* and DATASET_* for files that cannot be read or do not fit, and as {@link trainNetwork}
 */
export async function trainFile(request: TrainFileRequest, runtime: Runtime): Promise<Omit<TrainedNetwork, 'model'>> {
  const { modelPath, training, outputPath, ...options } = request;
  const { scratchDir } = options;
  const network = await readModel(modelPath);
  const scratch = new ScratchTensors(join(scratchDir, 'prepared.bin'));
  await prepareForTraining(network, { runtime, scratch, scratchDir, maxResultBytes: MAX_FOLDED_BYTES });
  const preprocess = training.preprocess ?? null;
  const dataset = await openDataset(training.path, { preprocess, scratchDir });
  try {
    const feedPlan = planFeeds(network.graph.inputs, dataset.summary, preprocess);
    const digest = training.digest ?? (await fileDigest(training.path));
    const { model, ...trained } = await trainNetwork(network, { ...options, data: { dataset, feedPlan, digest } });
    await writeModel(model, outputPath);
    return trained;
  } finally {
    await dataset.close();
  }
}
