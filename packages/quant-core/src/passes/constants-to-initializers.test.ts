import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatValue, intsValue, tensorFromFloats, tensorValue } from '../ir/index.js';
import { checkPass } from '../testing/check-pass.js';
import { tinyModel } from '../testing/tiny-model.js';
import { constantsToInitializers } from './constants-to-initializers.js';

test('constants of every kind become initializers and the model computes the same', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3]]],
    outputs: [['y', 'float32', [3, 2]]],
    nodes: [
      {
        op: 'Constant',
        inputs: [],
        outputs: ['k'],
        attributes: { value: tensorValue(tensorFromFloats([3], Float32Array.of(1, 2, 3))) },
      },
      { op: 'Constant', inputs: [], outputs: ['half'], attributes: { value_float: floatValue(0.5) } },
      { op: 'Constant', inputs: [], outputs: ['shape'], attributes: { value_ints: intsValue([3, 2]) } },
      { op: 'Mul', inputs: ['x', 'k'], outputs: ['a'] },
      { op: 'Mul', inputs: ['a', 'half'], outputs: ['b'] },
      { op: 'Reshape', inputs: ['b', 'shape'], outputs: ['y'] },
    ],
  });
  const after = await checkPass(t, model, constantsToInitializers);
  assert.deepEqual([...after.graph.initializers.keys()], ['k', 'half', 'shape']);
  assert.deepEqual(
    after.graph.nodes.map((node) => node.opType),
    ['Mul', 'Mul', 'Reshape'],
  );
});

test('a constant that is a graph output stays a node', () => {
  const model = tinyModel({
    inputs: [],
    outputs: [['k', 'float32', []]],
    nodes: [{ op: 'Constant', inputs: [], outputs: ['k'], attributes: { value_float: floatValue(1) } }],
  });
  assert.equal(constantsToInitializers(model), false);
  assert.equal(model.graph.nodes.length, 1);
});
