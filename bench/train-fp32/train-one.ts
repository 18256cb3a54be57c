import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Preprocess } from '@tritforge/contracts';
import { createOnnxRuntime, openDataset } from '@tritforge/quant-core';
import { type Evaluation, evaluateModel } from '@tritforge/quant-core/evaluate';
import { sharedData } from '@tritforge/quant-core/testing';
import { type TrainedEpoch, trainFile } from '@tritforge/quant-core/train';
import { folderLabelledTar } from '../shared-data/images.js';

/** Channel means and deviations of CIFAR-10. */
const PREPROCESS: Preprocess = { scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] };

/** What of the training the command line decides. */
export interface Settings {
  readonly epochs: number;
  readonly batch: number;
  readonly threads: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly checkpoint: string | undefined;
}

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
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  }).trim();
  const set = (name: string) => sharedData('sets', name);
  const [trainTar, testTar] = [join(folder, 'train.tar'), join(folder, 'test.tar')];
  await folderLabelledTar(set('cifar10_train50k_jpeg.tar.gz'), trainTar);
  await folderLabelledTar(set('cifar10_test10k_jpegq75.tar.gz'), testTar);
  const modelPath = join(folder, 'trained.onnx');
  const runtime = createOnnxRuntime();
  const { curve, engine } = await trainFile(
    {
      ...settings,
      modelPath: sharedData('models', 'resnet8_cifar10_mlperftiny.onnx'),
      training: { path: trainTar, preprocess: PREPROCESS },
      outputPath: modelPath,
      heldOut: 1000,
      start: 'he-normal',
      loss: { labelSmoothing: 0, distillation: null },
      optimiser: { kind: 'sgd', momentum: 0.9, nesterov: true },
      decay: 5e-4,
      schedule: { kind: 'cosine', floor: 0 },
      warmUp: 0.04,
      clipNorm: null,
      averaging: null,
      augmentation: { input: 'input', maxShift: 2, mirrors: true },
      statisticsSamples: 4096,
      keep: 'last',
      scratchDir: folder,
      onEpoch: ({ epoch, trainingLoss, heldOut, seconds, secondsLeft }) =>
        process.stderr.write(
          `epoch ${epoch}: loss ${trainingLoss.toFixed(3)}, held out ${heldOut.loss.toFixed(3)}, ${heldOut.top1.toFixed(1)} %, ${seconds.toFixed(0)} s, ${secondsLeft.toFixed(0)} s left\n`,
        ),
    },
    runtime,
  );
  const dataset = await openDataset(testTar, { preprocess: PREPROCESS, scratchDir: folder });
  try {
    const test = await evaluateModel({ modelPath, dataset, metric: 'top1', runtime });
    return { curve, engine, cpuSeconds: process.cpuUsage().user / 1e6, test, commit };
  } finally {
    await dataset.close();
  }
}
