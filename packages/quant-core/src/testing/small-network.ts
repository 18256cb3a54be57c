import { join } from 'node:path';
import { writeNpz } from '../data/index.js';
import { floatValue, intsValue, intValue, type Model, type Tensor, tensorFromInt64 } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { seededRandom } from './random.js';
import { randomTensor } from './random-tensor.js';
import { type TinyNode, tinyModel } from './tiny-model.js';

/** Samples of the dataset of {@link writeSmallNetwork}. */
export const SMALL_SAMPLES = 24;

/**
 * A classifier with one of everything: batch norms, a depthwise and a grouped convolution, a residual connection with Slice
 * and Pad, a Concat of two branches, pooling, and a Gemm. Random weights, 3×12×12 inputs, 10 classes.
 */
export function smallNetwork(): Model {
  const constants: Record<string, Tensor> = {
    pads: tensorFromInt64([8], [0, 4, 0, 0, 0, 4, 0, 0]),
    zero: tensorFromInt64([2], [0, 0]),
    end: tensorFromInt64([2], [99, 99]),
    axes: tensorFromInt64([2], [2, 3]),
    two: tensorFromInt64([2], [2, 2]),
    fc: randomTensor([10, 24], 90, 0.4),
    fc_bias: randomTensor([10], 91),
  };
  let seed = 1;
  const conv = (
    name: string,
    from: string,
    channels: number,
    inputs: number,
    size: number,
    stride = 1,
    group = 1,
  ): TinyNode[] => {
    const pad = (size - 1) / 2;
    const fan = (inputs / group) * size * size;
    constants[`${name}.w`] = randomTensor([channels, inputs / group, size, size], seed++, Math.sqrt(2 / fan));
    const norm = { gamma: [0.2, 1], beta: [0.3, 0.1], mean: [0.2, 0], var: [0.1, 1] } as const;
    for (const [part, [scale, shift]] of Object.entries(norm))
      constants[`${name}.${part}`] = randomTensor([channels], seed++, scale, shift);
    return [
      {
        op: 'Conv',
        name,
        inputs: [from, `${name}.w`],
        outputs: [`${name}.c`],
        attributes: {
          group: intValue(group),
          strides: intsValue([stride, stride]),
          pads: intsValue([pad, pad, pad, pad]),
        },
      },
      {
        op: 'BatchNormalization',
        name: `${name}.bn`,
        inputs: [`${name}.c`, ...Object.keys(norm).map((part) => `${name}.${part}`)],
        outputs: [name],
        attributes: { epsilon: floatValue(1e-4) },
      },
    ];
  };
  const relu = (from: string): TinyNode => ({
    op: 'Relu',
    name: `${from}.relu`,
    inputs: [from],
    outputs: [`${from}.r`],
  });
  return tinyModel({
    inputs: [['image', 'float32', ['N', 3, 12, 12]]],
    outputs: [['logits', 'float32', ['N', 10]]],
    nodes: [
      ...conv('stem', 'image', 8, 3, 3),
      relu('stem'),
      ...conv('depthwise', 'stem.r', 8, 8, 3, 1, 8),
      relu('depthwise'),
      ...conv('down', 'depthwise.r', 16, 8, 3, 2),
      { op: 'Slice', name: 'shortcut.slice', inputs: ['stem.r', 'zero', 'end', 'axes', 'two'], outputs: ['sliced'] },
      { op: 'Pad', name: 'shortcut.pad', inputs: ['sliced', 'pads'], outputs: ['padded'] },
      { op: 'Add', name: 'residual', inputs: ['down', 'padded'], outputs: ['sum'] },
      relu('sum'),
      {
        op: 'MaxPool',
        name: 'pool',
        inputs: ['sum.r'],
        outputs: ['pooled'],
        attributes: { kernel_shape: intsValue([2, 2]), strides: intsValue([2, 2]) },
      },
      ...conv('left', 'pooled', 12, 16, 1),
      relu('left'),
      ...conv('right', 'pooled', 12, 16, 3, 1, 2),
      relu('right'),
      {
        op: 'Concat',
        name: 'join',
        inputs: ['left.r', 'right.r'],
        outputs: ['joined'],
        attributes: { axis: intValue(1) },
      },
      { op: 'GlobalAveragePool', name: 'gap', inputs: ['joined'], outputs: ['mean'] },
      { op: 'Flatten', name: 'flatten', inputs: ['mean'], outputs: ['features'] },
      {
        op: 'Gemm',
        name: 'classifier',
        inputs: ['features', 'fc', 'fc_bias'],
        outputs: ['logits'],
        attributes: { transB: intValue(1) },
      },
    ],
    constants,
    opset: 13,
  });
}

/** Writes the network and a labelled dataset of random images for it. */
export async function writeSmallNetwork(folder: string): Promise<{ modelPath: string; datasetPath: string }> {
  const modelPath = join(folder, 'small.onnx');
  const datasetPath = join(folder, 'small.npz');
  await writeModel(smallNetwork(), modelPath);
  const random = seededRandom(5);
  const image = {
    dtype: 'float32' as const,
    shape: [SMALL_SAMPLES, 3, 12, 12],
    data: Float32Array.from({ length: SMALL_SAMPLES * 432 }, () => 2 * random() - 0.6),
  };
  const labels = {
    dtype: 'int64' as const,
    shape: [SMALL_SAMPLES],
    data: BigInt64Array.from({ length: SMALL_SAMPLES }, () => BigInt(Math.floor(random() * 10))),
  };
  await writeNpz(
    datasetPath,
    new Map<string, HostTensor>([
      ['image', image],
      ['labels', labels],
    ]),
  );
  return { modelPath, datasetPath };
}
