/** A classifier that is learned in a second, for tests of training. */
import { planFeeds } from '../data/index.js';
import { intsValue, intValue, type Model } from '../ir/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { floats, int64s, memoryDataset } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import type { TrainOptions } from './train-network.js';

const SIDE = 6;
const CLASSES = 2;
const CHANNELS = 4;

/** Convolution, normalization, rectifier, mean, scores of two classes; the normalization knows nothing of the data yet. */
export function stripeNetwork(): Model {
  const vector = (value: number) => randomTensor([CHANNELS], 1, 0, value);
  return tinyModel({
    inputs: [['image', 'float32', ['N', 1, SIDE, SIDE]]],
    outputs: [['scores', 'float32', ['N', CLASSES]]],
    nodes: [
      {
        op: 'Conv',
        inputs: ['image', 'w', 'futile'],
        outputs: ['c'],
        attributes: { kernel_shape: intsValue([3, 3]), pads: intsValue([1, 1, 1, 1]) },
      },
      { op: 'BatchNormalization', inputs: ['c', 'gain', 'shift', 'mean', 'variance'], outputs: ['n'] },
      { op: 'Relu', inputs: ['n'], outputs: ['r'] },
      { op: 'GlobalAveragePool', inputs: ['r'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'], attributes: { axis: intValue(1) } },
      { op: 'Gemm', inputs: ['f', 'dense', 'bias'], outputs: ['scores'] },
    ],
    constants: {
      w: randomTensor([CHANNELS, 1, 3, 3], 2, 0.4),
      futile: vector(0),
      gain: vector(1),
      shift: vector(0),
      mean: vector(0),
      variance: vector(1),
      dense: randomTensor([CHANNELS, CLASSES], 3, 0.4),
      bias: randomTensor([CLASSES], 4, 0),
    },
  });
}

/** Noisy stripes: those of class 0 lie, those of class 1 stand. */
export function stripes(
  samples: number,
  labelOf: (sample: number) => number = (sample) => sample % CLASSES,
): JobDataset {
  const next = gaussian(seededRandom(7));
  const images = Float32Array.from({ length: samples * SIDE * SIDE }, (_, i) => {
    const [sample, pixel] = [Math.floor(i / SIDE ** 2), i % SIDE ** 2];
    const [y, x] = [Math.floor(pixel / SIDE), pixel % SIDE];
    const line = sample % CLASSES === 0 ? y : x;
    return 3 + (line % 2 === 0 ? 1 : -1) + 0.5 * next();
  });
  const labels = int64s(
    [samples],
    Array.from({ length: samples }, (_, i) => labelOf(i)),
  );
  const dataset = memoryDataset({ image: floats([samples, 1, SIDE, SIDE], images) }, labels);
  return { dataset, feedPlan: planFeeds(stripeNetwork().graph.inputs, dataset.summary, null), digest: 'stripes' };
}

/** Options that learn to tell the stripes apart. */
export function stripeOptions(scratchDir: string): TrainOptions {
  return {
    data: stripes(72),
    heldOut: 8,
    start: 'he-normal',
    epochs: 4,
    batch: 8,
    threads: 2,
    loss: { labelSmoothing: 0, distillation: null },
    optimiser: { kind: 'sgd', momentum: 0.9, nesterov: true },
    learningRate: 0.1,
    decay: 1e-4,
    schedule: { kind: 'cosine', floor: 0 },
    warmUp: 0.1,
    clipNorm: null,
    averaging: null,
    augmentation: { input: 'image', maxShift: 1, mirrors: true },
    statisticsSamples: 64,
    keep: 'last',
    seed: 1,
    scratchDir,
  };
}
