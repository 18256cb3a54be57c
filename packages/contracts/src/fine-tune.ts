import Type, { type Static } from 'typebox';
import { LayerMatch } from './layer-match.js';

/** What a quantized network is pulled towards when it is fine-tuned. */
export const FineTuneLoss = Type.Enum(['distill', 'mse'], {
  description:
    'distill: the Kullback-Leibler divergence of its class probabilities from those of the original, for outputs that are scores or ' +
    'probabilities of classes. mse: the squared error of all its outputs, for outputs of any kind. ' +
    'distill where the outputs rank classes unless told, else mse.',
});
export type FineTuneLoss = 'distill' | 'mse';

/** How samples are changed anew each time they are shown. */
const Augment = Type.Object(
  {
    crop: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        default: 1,
        description:
          'Random windows of each image, enlarged to its size; a window has this share of the area at least, and sides of 3:4 to ' +
          '4:3 of those of the image. 1: whole images.',
      }),
    ),
    shift: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 256, default: 0, description: 'At most so many pixels to any side.' }),
    ),
    mirror: Type.Optional(
      Type.Boolean({ default: false, description: 'Every other image left to right. Wrong for digits and letters.' }),
    ),
    mix: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Each sample with another one, in random shares: what comes of it is worth many samples where there are few.',
      }),
    ),
  },
  { additionalProperties: false },
);

const Features = Type.Object(
  {
    layers: Type.Array(LayerMatch, {
      minItems: 1,
      maxItems: 1000,
      description: 'Selectors of layers; `{ "name": "*" }` is all of them. One that matches no layer is an error.',
    }),
    weight: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1000,
        default: 1,
        description: 'Of the mean of these squared errors, each relative to the size of its value, beside `loss`.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'Pull the inputs of these layers towards those in the original too, by their squared errors: says more of each sample ' +
      'than the outputs alone where there are few samples. Which epoch is best is judged by the outputs alone.',
  },
);

/** How the scales of weights are found in training. */
export const WeightScales = Type.Enum(['least-squares', 'sawb', 'learned'], {
  description:
    'Scales of uniform weights, and of the groups of ternary ones in one plane. least-squares: anew in every step, those of least ' +
    'squared error. learned: by gradient, as in LSQ and TTQ. sawb: of uniform weights, by the formula of SAWB, from the mean square ' +
    'and the mean magnitude. least-squares with the method uniform, else learned.',
});
export type WeightScales = 'least-squares' | 'sawb' | 'learned';

/** Which values the ranges of activations learn from. */
export const RangeLearning = Type.Enum(['lsq', 'pact'], {
  default: 'lsq',
  description: 'How the ranges of activations learn. lsq: from all values. pact: from those beyond the range alone.',
});
export type RangeLearning = 'lsq' | 'pact';

/** Quantization-aware training that follows the quantization. */
export const FineTune = Type.Object(
  {
    epochs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: 'Passes over the training data. The same number gives the same artifact, bytes included.',
      }),
    ),
    minutes: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10_080,
        description: 'Time for the training in place of epochs. 10 where neither is given.',
      }),
    ),
    loss: Type.Optional(FineTuneLoss),
    features: Type.Optional(Features),
    labels: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0,
        description:
          'What the labels of the training data count, by the cross-entropy, with the loss distill; the original network counts the rest. ' +
          '0: nobody looks at labels. 1: labels alone.',
      }),
    ),
    temperature: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: 100,
        default: 2,
        description: 'Scores are divided by it before they become probabilities, with the loss distill.',
      }),
    ),
    optimiser: Type.Optional(Type.Enum(['adamw', 'sgd'], { default: 'adamw' })),
    learningRate: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 10,
        description:
          'At its highest, after a twentieth of the training; then it falls to nothing along half a cosine. Relative to the size of ' +
          'each tensor, so that 0.01 is a step of about one per cent with adamw. 0.005 with adamw and 0.01 with sgd unless told.',
      }),
    ),
    anchor: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1000,
        description:
          'Pulls everything that is trained back to where it started: times the learning rate the share of the way that each update ' +
          'goes back. Keeps long trainings from wandering off. 0.03 unless told, 0 with the method uniform.',
      }),
    ),
    batch: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4096,
        default: 64,
        description: 'Samples of one update, a multiple of workers.',
      }),
    ),
    workers: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 64,
        default: 2,
        description:
          'Threads that share each batch. Sums of floats depend on their number, so the artifact does; not on the processors there are.',
      }),
    ),
    patience: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: 'Stop after so many epochs without a better result. Not before the end when left out.',
      }),
    ),
    keep: Type.Optional(
      Type.Enum(['best', 'last'], {
        description:
          'Which epoch is the result. best: that of the least loss on samples kept aside. last: the last one that is better than the start ' +
          'there; for long trainings whose rate falls to nothing, on samples that the original was trained on itself: of those it is so sure ' +
          'that the first epochs, which are still closest to it, look best. best, and with the method nce last.',
      }),
    ),
    normalize: Type.Optional(
      Type.Boolean({
        description:
          'Normalize the outputs of convolutions by each batch while training, as batch normalization does; statistics of the data ' +
          'take their place in the end and become part of scales and biases. Steadies trainings of few bits. true with the ' +
          'method uniform, else false.',
      }),
    ),
    weightScales: Type.Optional(WeightScales),
    activationRanges: Type.Optional(RangeLearning),
    augment: Type.Optional(Augment),
  },
  {
    additionalProperties: false,
    description:
      'Train the quantized network to give the outputs of the original, on the training dataset or, without one, on the ' +
      'calibration dataset. The result is never worse on samples kept aside than without.',
  },
);
export type FineTune = Static<typeof FineTune>;

/** With every default filled in; what is not given of epochs and minutes is null. */
export interface ResolvedFineTune {
  epochs: number | null;
  minutes: number | null;
  /** Null: as the outputs are. */
  loss: FineTuneLoss | null;
  /** Null: outputs alone. */
  features: { layers: LayerMatch[]; weight: number } | null;
  labels: number;
  temperature: number;
  optimiser: 'adamw' | 'sgd';
  learningRate: number;
  anchor: number;
  batch: number;
  workers: number;
  /** Null: never stop early. */
  patience: number | null;
  keep: 'best' | 'last';
  normalize: boolean;
  weightScales: WeightScales;
  activationRanges: RangeLearning;
  augment: { crop: number; shift: number; mirror: boolean; mix: boolean };
}

const DEFAULT_RATES = { adamw: 0.005, sgd: 0.01 } as const;

/** @param isUniform whether weights and activations have 2 bits @param isSearched whether the network has other channels than it came with */
export function resolveFineTune(asked: FineTune, isUniform: boolean, isSearched: boolean): ResolvedFineTune {
  return {
    epochs: asked.epochs ?? null,
    minutes: asked.minutes ?? (asked.epochs === undefined ? 10 : null),
    loss: asked.loss ?? null,
    features: asked.features === undefined ? null : { weight: 1, ...asked.features },
    labels: asked.labels ?? 0,
    temperature: asked.temperature ?? 2,
    optimiser: asked.optimiser ?? 'adamw',
    learningRate: asked.learningRate ?? DEFAULT_RATES[asked.optimiser ?? 'adamw'],
    anchor: asked.anchor ?? (isUniform ? 0 : 0.03),
    batch: asked.batch ?? 64,
    workers: asked.workers ?? 2,
    patience: asked.patience ?? null,
    keep: asked.keep ?? (isSearched ? 'last' : 'best'),
    normalize: asked.normalize ?? isUniform,
    weightScales: asked.weightScales ?? (isUniform ? 'least-squares' : 'learned'),
    activationRanges: asked.activationRanges ?? 'lsq',
    augment: { crop: 1, shift: 0, mirror: false, mix: false, ...asked.augment },
  };
}
