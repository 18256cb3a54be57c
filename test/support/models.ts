import { attribute, DATA_TYPE, floats, type GraphFields, int64s, model, node, tensor, value } from './onnx-bytes.js';
import { randomFloats } from './random.js';

/** Classes of `classifier`. */
export const CLASSES = 10;

/**
 * A model that works: input `x` [N, 3, 8, 8], two convolutions, global average pooling, a Gemm to 10 classes.
 * @param seed other seeds give other weights
 */
export function classifier(seed = 1): Buffer {
  const random = randomFloats(seed);
  const weight = (name: string, dims: readonly number[]) =>
    floats(name, dims, random(dims.reduce((product, dim) => product * dim, 1)));
  return model({
    inputs: [value('x', ['N', 3, 8, 8])],
    outputs: [value('y', ['N', CLASSES])],
    initializers: [
      weight('w1', [16, 3, 3, 3]),
      weight('w2', [64, 16, 3, 3]),
      weight('w3', [64, 64, 3, 3]),
      weight('w4', [CLASSES, 64]),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], ['c1'], { name: 'conv1' }),
      node('Relu', ['c1'], ['r1']),
      node('Conv', ['r1', 'w2'], ['c2'], { name: 'conv2' }),
      node('Relu', ['c2'], ['r2']),
      node('Conv', ['r2', 'w3'], ['c3'], { name: 'conv3' }),
      node('Relu', ['c3'], ['r3']),
      node('GlobalAveragePool', ['r3'], ['p']),
      node('Flatten', ['p'], ['f']),
      node('Gemm', ['f', 'w4'], ['y'], { name: 'fc', attributes: [attribute.int('transB', 1)] }),
    ],
  });
}

/** `y = x · w` with x [N, 4] and the given weight tensor, which may lie about itself. */
export function matMul(weight: Buffer): Buffer {
  return model({ ...matMulGraph, initializers: [weight] });
}

/** The graph of `matMul` without its weight. */
export const matMulGraph: GraphFields = {
  inputs: [value('x', ['N', 4])],
  outputs: [value('y', ['N', 4])],
  nodes: [node('MatMul', ['x', 'w'], ['y'])],
};

/** A weight for `matMul` that lies in another file. */
export function externalWeight(location: string, offset = 0, length = 64): Buffer {
  return tensor({
    name: 'w',
    dims: [4, 4],
    external: { location, offset: String(offset), length: String(length) },
  });
}

/** A shape constant and the ConstantOfShape node that fills it. */
export function hugeConstant(dims: readonly number[]): Buffer {
  return model({
    inputs: [value('x', ['N', 4])],
    outputs: [value('y', ['N', 4])],
    initializers: [int64s('shape', [dims.length], dims)],
    nodes: [
      node('ConstantOfShape', ['shape'], ['huge']),
      node('ReduceMax', ['huge'], ['top']),
      node('Add', ['x', 'top'], ['y']),
    ],
  });
}

/** `y = x` for a Cast-free model whose input has the given element type. */
export function identity(type: number = DATA_TYPE.float): Buffer {
  return model({
    inputs: [value('x', ['N', 4], type)],
    outputs: [value('y', ['N', 4], type)],
    nodes: [node('Identity', ['x'], ['y'])],
  });
}
