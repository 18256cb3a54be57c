import type { Recipe } from '@tritforge/contracts';

/** A network before and after fine-tuning. */
export interface FineTuneCase {
  /** The whole name of the model, or the beginning of it. */
  readonly model: string;
  readonly name: string;
  /** Without `fineTune`: the network that training starts from. */
  readonly recipe: Recipe;
  readonly fineTune: NonNullable<Recipe['fineTune']>;
  /** Train on the model's training set, in place of the one for calibration. */
  readonly usesTrainingSet?: boolean;
}

const CIFAR: FineTuneCase['fineTune'] = { minutes: 10, augment: { shift: 4, mirror: true, mix: true } };
/** Within minutes: longer trainings learn so few images by heart. */
const IMAGENET: FineTuneCase['fineTune'] = { epochs: 20, batch: 32, augment: { crop: 0.3, mirror: true, mix: true } };

/** First and last layer int8 and 8-bit inputs unless told. */
export const CASES: readonly FineTuneCase[] = [
  { model: 'resnet20', name: 'N=64', recipe: { weights: { groupSize: 64 } }, fineTune: CIFAR },
  {
    model: 'resnet20',
    name: 'N=64, 4-bit inputs',
    recipe: { weights: { groupSize: 64 }, activations: { bits: 4, minimumSqnrDb: null } },
    fineTune: CIFAR,
  },
  {
    model: 'resnet20',
    name: 'uniform 2-bit weights and inputs',
    recipe: { method: 'uniform' },
    fineTune: {
      epochs: 60,
      batch: 128,
      learningRate: 0.01,
      weightScales: 'sawb',
      augment: { shift: 4, mirror: true },
    },
    usesTrainingSet: true,
  },
  { model: 'resnet8', name: 'N=64', recipe: { weights: { groupSize: 64 } }, fineTune: CIFAR },
  {
    model: 'mnist',
    name: 'N=32',
    recipe: { weights: { groupSize: 32 } },
    fineTune: { minutes: 1, augment: { shift: 2, mix: true } },
  },
  { model: 'stories', name: 'N=32', recipe: { weights: { groupSize: 32 } }, fineTune: { minutes: 10, batch: 8 } },
  { model: 'squeezenet', name: 'N=64', recipe: { weights: { groupSize: 64 } }, fineTune: IMAGENET },
  {
    model: 'mobilenet',
    name: 'N=64',
    recipe: { weights: { groupSize: 64 } },
    fineTune: { ...IMAGENET, epochs: 16, batch: 64, learningRate: 0.002, normalize: true },
  },
];
