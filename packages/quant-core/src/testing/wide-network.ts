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
 * @param sharesLayers the second layer is there twice, and the third has its bias
 */
export async function writeWideNetwork(
  folder: string,
  sharesLayers = false,
): Promise<{ modelPath: string; datasetPath: string }> {
  const constants: Record<string, Tensor> = { fc: randomTensor([10, 64], 9, 0.4) };
  const conv = (name: string, from: string, channels: number, inputs: number, size: number): TinyNode[] => {
    constants[`${name}.w`] = randomTensor(
      [channels, inputs, size, size],
      channels + inputs + size,
      Math.sqrt(2 / (inputs * size * size)),
    );
    const bias = sharesLayers && name === 'third' ? 'second.b' : `${name}.b`;
    constants[bias] ??= randomTensor([channels], channels, 0.1);
    return rectified(name, [from, `${name}.w`, bias], (size - 1) / 2);
  };
  const model = tinyModel({
    inputs: [['image', 'float32', ['N', 3, 8, 8]]],
    outputs: [['logits', 'float32', ['N', 10]]],
    nodes: [
      ...conv('stem', 'image', 32, 3, 3),
      ...conv('first', 'stem', 64, 32, 3),
      ...conv('second', 'first', 64, 64, 3),
      ...(sharesLayers ? rectified('again', ['second', 'second.w', 'second.b'], 1) : []),
      ...conv('third', sharesLayers ? 'again' : 'second', 64, 64, 1),
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

function rectified(name: string, inputs: readonly string[], pad: number): TinyNode[] {
  return [
    { op: 'Conv', name, inputs, outputs: [`${name}.c`], attributes: { pads: intsValue([pad, pad, pad, pad]) } },
    { op: 'Relu', name: `${name}.relu`, inputs: [`${name}.c`], outputs: [name] },
  ];
}
