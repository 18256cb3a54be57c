import { join } from 'node:path';
import { createOnnxRuntime, openDataset } from '@tritforge/quant-core';
import { type Evaluation, evaluateModel } from '@tritforge/quant-core/evaluate';
import { sharedData } from '@tritforge/quant-core/testing';
import type { TrainedEpoch } from '@tritforge/quant-core/train';
import { commitName } from '../accuracy/versions.js';
import { folderLabelledTar } from '../shared-data/images.js';
import { CIFAR_PREPROCESS, type Settings, trainFromScratch } from './train-from-scratch.js';

export interface Training {
  readonly curve: readonly TrainedEpoch[];
  /** What computed gradients. */
  readonly engine: string;
  /** Of all threads together, for all that is done. */
  readonly cpuSeconds: number;
  /** On the test set, in stock onnxruntime, from the file. */
  readonly test: Evaluation;
  /** At the beginning: it may take long. */
  readonly commit: string;
}

/** Trains ResNet-8 from random weights on the training set and measures it on the test set. */
export async function trainOne(settings: Settings, folder: string): Promise<Training> {
  const commit = commitName();
  const set = (name: string) => sharedData('sets', name);
  const [trainingTar, testTar] = [join(folder, 'train.tar'), join(folder, 'test.tar')];
  await folderLabelledTar(set('cifar10_train50k_jpeg.tar.gz'), trainingTar);
  await folderLabelledTar(set('cifar10_test10k_jpegq75.tar.gz'), testTar);
  const outputPath = join(folder, 'trained.onnx');
  const modelPath = sharedData('models', 'resnet8_cifar10_mlperftiny.onnx');
  const files = { modelPath, trainingTar, outputPath, scratchDir: folder };
  const { curve, engine } = await trainFromScratch(settings, files);
  const dataset = await openDataset(testTar, { preprocess: CIFAR_PREPROCESS, scratchDir: folder });
  try {
    const runtime = createOnnxRuntime();
    const test = await evaluateModel({ modelPath: outputPath, dataset, metric: 'top1', runtime });
    return { curve, engine, cpuSeconds: process.cpuUsage().user / 1e6, test, commit };
  } finally {
    await dataset.close();
  }
}
