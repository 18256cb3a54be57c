import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectModel } from './inspect.js';
import {
  type Attribute,
  intValue,
  tensorFromBytes,
  tensorFromFloats,
  tensorFromInt64,
  tensorValue,
} from './ir/index.js';
import { writeModel } from './onnx/index.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { tinyModel } from './testing/tiny-model.js';

const floats = (...shape: number[]) => tensorFromFloats(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));

test('a summary counts layers wherever their weights are, and nothing else', async (t) => {
  const branch = (output: string): Attribute => ({
    kind: 'graph',
    value: tinyModel({
      inputs: [],
      outputs: [[output, 'float32', null]],
      nodes: [{ op: 'MatMul', name: `fc_${output}`, inputs: ['flat', 'shared'], outputs: [output] }],
    }).graph,
  });
  const model = tinyModel({
    inputs: [
      ['x', 'float32', ['N', 4, 8, 8]],
      ['w', 'float32', [6, 4, 3, 3]],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [
      {
        op: 'Conv',
        name: 'conv',
        inputs: ['x', 'w'],
        outputs: ['c'],
        attributes: { pads: { kind: 'ints', value: [1n, 1n, 1n, 1n] } },
      },
      { op: 'Constant', inputs: [], outputs: ['dw'], attributes: { value: tensorValue(floats(6, 1, 3, 3)) } },
      { op: 'Identity', inputs: ['dw'], outputs: ['dw2'] },
      { op: 'Conv', name: 'depthwise', inputs: ['c', 'dw2'], outputs: ['d'], attributes: { group: intValue(6) } },
      { op: 'Flatten', inputs: ['d'], outputs: ['flat'] },
      { op: 'MatMul', name: 'not_constant', inputs: ['flat', 'squeezed'], outputs: ['unused'] },
      { op: 'Transpose', inputs: ['flat'], outputs: ['squeezed'] },
      {
        op: 'If',
        name: 'choice',
        inputs: ['condition'],
        outputs: ['y'],
        attributes: { then_branch: branch('a'), else_branch: branch('b') },
      },
    ],
    constants: {
      w: floats(6, 4, 3, 3),
      shared: floats(216, 10),
      condition: tensorFromBytes('bool', [], Uint8Array.of(1)),
      shape: tensorFromInt64([2], [1, 2]),
    },
  });
  const path = join(temporaryFolder(t), 'm.onnx');
  await writeModel(model, path);
  const { layers, ...summary } = await inspectModel(path);
  const layer = (node: string, weight: string, shape: number[], more = {}) => ({
    node,
    op: node.startsWith('fc') ? 'MatMul' : 'Conv',
    weight,
    shape,
    parameters: shape.reduce((a, b) => a * b),
    depthwise: false,
    groups: 1,
    inSubgraph: false,
    ...more,
  });
  assert.deepEqual(layers, [
    layer('conv', 'w', [6, 4, 3, 3]),
    layer('depthwise', 'dw', [6, 1, 3, 3], { depthwise: true, groups: 6 }),
    layer('fc_a', 'shared', [216, 10], { inSubgraph: true }),
    layer('fc_b', 'shared', [216, 10], { inSubgraph: true }),
  ]);
  assert.deepEqual(summary, {
    irVersion: 8,
    opset: 17,
    producer: null,
    // The matrix product of two activations counts too: 1 x 216 x 1. Of the branches one runs.
    macs: 6 * 4 * 9 * 64 + 6 * 9 * 36 + 216 + 2160,
    inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 4, 8, 8] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['N', 10] }],
    quantizableLayers: 4,
    nodes: 10,
    parameters: 216 + 54 + 2160,
    operators: { Conv: 2, Constant: 1, Identity: 1, Flatten: 1, Transpose: 1, MatMul: 3, If: 1 },
  });
});

test('a weight that nodes compute from constants makes a layer, as it does for quantization', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [1, 8]]],
    outputs: [['y', 'float32', [1, 3]]],
    nodes: [
      { op: 'Reshape', inputs: ['w', 'shape'], outputs: ['folded'] },
      { op: 'Gemm', name: 'fc', inputs: ['x', 'folded'], outputs: ['h'] },
      { op: 'ConstantOfShape', inputs: ['ones'], outputs: ['filled'] },
      { op: 'MatMul', name: 'last', inputs: ['h', 'filled'], outputs: ['y'] },
    ],
    constants: {
      w: floats(8, 5, 1),
      shape: tensorFromInt64([2], [8, 5]),
      ones: tensorFromInt64([2], [5, 3]),
    },
  });
  const path = join(temporaryFolder(t), 'm.onnx');
  await writeModel(model, path);
  const { layers } = await inspectModel(path);
  assert.deepEqual(
    layers.map(({ node, weight, shape }) => [node, weight, shape]),
    [
      ['fc', 'folded', [8, 5]],
      ['last', 'filled', [5, 3]],
    ],
  );
});

test('inspection validates', async (t) => {
  const path = join(temporaryFolder(t), 'm.onnx');
  await writeModel(tinyModel({ inputs: [], outputs: [['y', 'float32', null]], nodes: [] }), path);
  await assert.rejects(inspectModel(path), { code: 'MODEL_INVALID' });
});
