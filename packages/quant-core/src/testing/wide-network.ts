import { join } from 'node:path';
import { writeNpz } from '../data/index.js';
import { intsValue, intValue, type Tensor } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { gaussian, seededRandom } from './random.js';
import { randomTensor } from './random-tensor.js';
import { type TinyNode, tinyModel } from './tiny-model.js';

/** Samples of the dataset of {@link writeWideNetwork}. */
export const WIDE_SAMPLES = 40;

/**
 * Writes a classifier whose weights take more room than its operators, 3×8×8 inputs and 10 classes, and a dataset of random
 * images without labels for it.
 */
export async function writeWideNetwork(folder: string): Promise<{ modelPath: string; datasetPath: string }> {
  const constants: Record<string, Tensor> = { fc: randomTensor([10, 64], 9, 0.4) };
  const conv = (name: string, from: string, channels: number, inputs: number, size: number): TinyNode[] => {
    const pad = (size - 1) / 2;
    constants[`${name}.w`] = randomTensor(
      [channels, inputs, size, size],
      channels + inputs + size,
      Math.sqrt(2 / (inputs * size * size)),
    );
    constants[`${name}.b`] = randomTensor([channels], channels, 0.1);
    return [
      {
        op: 'Conv',
        name,
        inputs: [from, `${name}.w`, `${name}.b`],
        outputs: [`${name}.c`],
        attributes: { pads: intsValue([pad, pad, pad, pad]) },
      },
      { op: 'Relu', name: `${name}.relu`, inputs: [`${name}.c`], outputs: [name] },
    ];
  };
  const model = tinyModel({
    inputs: [['image', 'float32', ['N', 3, 8, 8]]],
    outputs: [['logits', 'float32', ['N', 10]]],
    nodes: [
      ...conv('stem', 'image', 32, 3, 3),
      ...conv('first', 'stem', 64, 32, 3),
      ...conv('second', 'first', 64, 64, 3),
      ...conv('third', 'second', 64, 64, 1),
      { op: 'GlobalAveragePool', name: 'gap', inputs: ['third'], outputs: ['mean'] },
      { op: 'Flatten', name: 'flatten', inputs: ['mean'], outputs: ['features'] },
      {
        op: 'Gemm',
        name: 'classifier',
        inputs: ['features', 'fc'],
        outputs: ['logits'],
        attributes: { transB: intValue(1) },
      },
    ],
    constants,
    opset: 13,
  });
  const next = gaussian(seededRandom(11));
  const data = Float32Array.from({ length: WIDE_SAMPLES * 192 }, () => next());
  const image: HostTensor = { dtype: 'float32', shape: [WIDE_SAMPLES, 3, 8, 8], data };
  const [modelPath, datasetPath] = [join(folder, 'wide.onnx'), join(folder, 'wide.npz')];
  await writeModel(model, modelPath);
  await writeNpz(datasetPath, new Map([['image', image]]));
  return { modelPath, datasetPath };
}
