import type { Preprocess } from '@tritforge/contracts';
import { createOnnxRuntime } from '@tritforge/quant-core';
import { readModel } from '@tritforge/quant-core/onnx';
import { type TrainedEpoch, trainFile } from '@tritforge/quant-core/train';

/** Channel means and deviations of CIFAR-10. */
export const CIFAR_PREPROCESS: Preprocess = {
  scale: 1 / 255,
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.247, 0.2435, 0.2616],
};

/** What of the training the command line decides. */
export interface Settings {
  readonly epochs: number;
  readonly batch: number;
  readonly threads: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly checkpoint: string | undefined;
}

/** Where the graph and the labelled images come from, and where the network goes. */
export interface TrainingFiles {
  readonly modelPath: string;
  readonly trainingTar: string;
  readonly outputPath: string;
  readonly scratchDir: string;
}

/** Trains the graph of a classifier of CIFAR-10 from random weights. */
export async function trainFromScratch(
  settings: Settings,
  { modelPath, trainingTar, outputPath, scratchDir }: TrainingFiles,
): Promise<{ curve: readonly TrainedEpoch[]; engine: string }> {
  const { graph } = await readModel(modelPath);
  return trainFile(
    {
      ...settings,
      modelPath,
      training: { path: trainingTar, preprocess: CIFAR_PREPROCESS },
      outputPath,
      heldOut: 1000,
      start: 'he-normal',
      loss: { labelSmoothing: 0, distillation: null },
      optimiser: { kind: 'sgd', momentum: 0.9, nesterov: true },
      decay: 5e-4,
      schedule: { kind: 'cosine', floor: 0 },
      warmUp: 0.04,
      clipNorm: null,
      averaging: null,
      augmentation: { input: graph.inputs[0]!.name, maxShift: 2, mirrors: true },
      statisticsSamples: 4096,
      keep: 'last',
      scratchDir,
      onEpoch: ({ epoch, trainingLoss, heldOut, seconds, secondsLeft }) =>
        process.stderr.write(
          `epoch ${epoch}: loss ${trainingLoss.toFixed(3)}, held out ${heldOut.loss.toFixed(3)}, ${heldOut.top1.toFixed(1)} %, ${seconds.toFixed(0)} s, ${secondsLeft.toFixed(0)} s left\n`,
        ),
    },
    createOnnxRuntime(),
  );
}
