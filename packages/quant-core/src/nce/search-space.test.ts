import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tensorFromFloats } from '../ir/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { searchSpace } from './search-space.js';

test('convolutions get biases of their own, so that one that they share ties no widths', async () => {
  const conv = (name: string, ...inputs: string[]): TinyNode => ({ op: 'Conv', name, inputs, outputs: [name] });
  const bias = tensorFromFloats([4], Float32Array.of(1, 2, 3, 4));
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 4, 1, 1]]],
    outputs: [['y', 'float32', null]],
    nodes: [conv('a', 'x', 'wa', 'bias'), conv('b', 'a', 'wb', 'bias'), conv('c', 'b', 'wc'), conv('y', 'c', 'wy')],
    constants: {
      bias,
      ...Object.fromEntries(['wa', 'wb', 'wc', 'wy'].map((name, i) => [name, randomTensor([4, 4, 1, 1], i)])),
    },
  });
  const { template, graph } = await searchSpace(model);
  const biases = template.graph.nodes.map(({ inputs }) => template.graph.initializers.get(inputs[2]!)!);
  assert.equal(new Set(biases).size, 4);
  assert.deepEqual(
    biases.map(({ data }) => data),
    [bias, bias, ...[1, 2].map(() => tensorFromFloats([4], new Float32Array(4)))].map(({ data }) => data),
  );
  assert.deepEqual(
    graph.widths.map(({ layers }) => layers),
    [['a'], ['b'], ['c'], ['y']],
  );
  assert.equal(model.graph.nodes[2]!.inputs.length, 2);
});
