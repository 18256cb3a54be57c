/** Small models for tests of sessions, and their inputs. */
import type { OrtTensor } from '../index.js';
import { graph, model, node, tensor, value } from './onnx-writer.js';

/** A float32 tensor. */
export const floats = (shape: readonly number[], ...data: number[]): OrtTensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(data),
});
export const feed = (tensors: Record<string, OrtTensor>) => new Map(Object.entries(tensors));

/** a + b and a − b. */
export const sum = model({
  nodes: [node('Add', ['a', 'b'], ['sum']), node('Sub', ['a', 'b'], ['difference'])],
  inputs: [value('a', 'float32', ['rows', 2]), value('b', 'float32', [2])],
  outputs: [value('sum', 'float32', ['rows', 2]), value('difference', 'float32', [null, 2])],
});
export const sumInputs = feed({ a: floats([2, 2], 1, 2, 3, 4), b: floats([2], 10, 20) });

/** Twice the input, by concatenation, which any type allows. */
export const doubled = (dtype: string) =>
  model({
    nodes: [node('Concat', ['x', 'x'], ['y'], { axis: 0 })],
    inputs: [value('x', dtype, ['n'])],
    outputs: [value('y', dtype, [null])],
  });

/** Counts to 2⁶³, or adds 0 to the input as often. */
export const endless = model({
  nodes: [
    node('Loop', ['trips', 'go', 'x'], ['y'], {
      body: {
        graph: graph({
          nodes: [node('Identity', ['go_in'], ['go_out']), node('Add', ['x_in', 'nothing'], ['x_out'])],
          inputs: [value('i', 'int64', []), value('go_in', 'bool', []), value('x_in', 'float32', [1])],
          outputs: [value('go_out', 'bool', []), value('x_out', 'float32', [1])],
        }),
      },
    }),
  ],
  initializers: [
    tensor('trips', 'int64', [], BigInt64Array.of(2n ** 63n - 1n)),
    tensor('go', 'bool', [], Uint8Array.of(1)),
    tensor('nothing', 'float32', [1], Float32Array.of(0)),
  ],
  inputs: [value('x', 'float32', [1])],
  outputs: [value('y', 'float32', [1])],
});

/** x times a random-looking matrix of `size`² floats. */
export const weighty = (size: number) =>
  model({
    nodes: [node('MatMul', ['x', 'w'], ['y'])],
    initializers: [
      tensor(
        'w',
        'float32',
        [size, size],
        Float32Array.from({ length: size * size }, (_, i) => (i % 17) - 8),
      ),
    ],
    inputs: [value('x', 'float32', ['n', size])],
    outputs: [value('y', 'float32', ['n', size])],
  });
