import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  floatValue,
  intsValue,
  intValue,
  type Model,
  scalarFloat,
  stringValue,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { checkPass, runModel } from '../../testing/check-pass.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { upgradeOpset } from './upgrade-opset.js';

const constants = {
  bn: randomTensor([3], 1, 0.1, 1),
  scales2: tensorFromFloats([4], Float32Array.of(1, 1, 2, 3)),
  half: tensorFromFloats([4], Float32Array.of(1, 1, 0.5, 0.5)),
  k: tensorFromInt64([1], [2]),
};

/** One node of x [2, 3, 4, 4] at an old opset. */
function single(opset: number, node: Omit<TinyNode, 'inputs' | 'outputs'> & Partial<TinyNode>): Model {
  const used = new Set(node.inputs ?? []);
  return tinyModel({
    inputs: [['x', 'float32', [2, 3, 4, 4]]],
    outputs: (node.outputs ?? ['y']).map((name) => [name, 'undefined', null] as const),
    nodes: [{ inputs: ['x'], outputs: ['y'], ...node }],
    constants: Object.fromEntries(Object.entries(constants).filter(([name]) => used.has(name))),
    opset,
  });
}

const ONE_NODE: readonly [string, Model][] = [
  [
    'Slice takes its bounds as inputs',
    single(9, {
      op: 'Slice',
      attributes: { starts: intsValue([1, 0]), ends: intsValue([3, 9]), axes: intsValue([2, 3]) },
    }),
  ],
  [
    'Slice without axes',
    single(9, { op: 'Slice', attributes: { starts: intsValue([0, 1]), ends: intsValue([1, 3]) } }),
  ],
  [
    'TopK takes k as an input',
    single(9, { op: 'TopK', outputs: ['y', 'i'], attributes: { k: intValue(2), axis: intValue(2) } }),
  ],
  [
    'Clip takes both bounds as inputs',
    single(10, { op: 'Clip', attributes: { min: floatValue(-0.5), max: floatValue(0.25) } }),
  ],
  ['Clip with one bound', single(7, { op: 'Clip', attributes: { max: floatValue(0.25) } })],
  ['Clip without bounds', single(8, { op: 'Clip' })],
  [
    'Pad takes pads and value as inputs',
    single(10, { op: 'Pad', attributes: { pads: intsValue([0, 0, 1, 2, 0, 0, 3, 0]), value: floatValue(1.5) } }),
  ],
  [
    'Pad by reflection',
    single(7, { op: 'Pad', attributes: { pads: intsValue([0, 0, 1, 1, 0, 0, 1, 1]), mode: stringValue('reflect') } }),
  ],
  ['Unsqueeze takes axes as an input', single(12, { op: 'Unsqueeze', attributes: { axes: intsValue([0, 3]) } })],
  [
    'ReduceSum takes axes as an input',
    single(11, { op: 'ReduceSum', attributes: { axes: intsValue([1, 2]), keepdims: intValue(0) } }),
  ],
  ['ReduceSum over everything', single(12, { op: 'ReduceSum' })],
  [
    'Split takes its sizes as an input',
    single(12, { op: 'Split', outputs: ['y', 'z'], attributes: { axis: intValue(1), split: intsValue([1, 2]) } }),
  ],
  ['Softmax over a flattened tail', single(12, { op: 'Softmax' })],
  ['Softmax over the last axis', single(9, { op: 'Softmax', attributes: { axis: intValue(3) } })],
  ['LogSoftmax over two axes', single(11, { op: 'LogSoftmax', attributes: { axis: intValue(2) } })],
  ['Hardmax over a flattened tail', single(8, { op: 'Hardmax', attributes: { axis: intValue(1) } })],
  [
    'BatchNormalization drops its spatial flag',
    single(8, {
      op: 'BatchNormalization',
      inputs: ['x', 'bn', 'bn', 'bn', 'bn'],
      attributes: { spatial: intValue(1) },
    }),
  ],
  [
    'Upsample by scales in an attribute',
    single(8, {
      op: 'Upsample',
      attributes: { scales: { kind: 'floats', value: [1, 1, 2, 2] }, mode: stringValue('nearest') },
    }),
  ],
  [
    'Upsample by scales in an input',
    single(9, { op: 'Upsample', inputs: ['x', 'scales2'], attributes: { mode: stringValue('linear') } }),
  ],
  ['Resize of opset 10 enlarges by nearest neighbours', single(10, { op: 'Resize', inputs: ['x', 'scales2'] })],
  ['Resize of opset 10 shrinks by nearest neighbours', single(10, { op: 'Resize', inputs: ['x', 'half'] })],
  [
    'Resize of opset 10 interpolates',
    single(10, { op: 'Resize', inputs: ['x', 'half'], attributes: { mode: stringValue('linear') } }),
  ],
  ['Dropout loses its ratio', single(11, { op: 'Dropout', attributes: { ratio: floatValue(0.4) } })],
];

for (const [what, model] of ONE_NODE) {
  test(`${what}, and computes the same in opset 13`, async (t: TestContext) => {
    const after = await checkPass(t, model, upgradeOpset, 1e-6);
    assert.equal(after.opsetImports.get(''), 13);
    assert.ok(after.irVersion >= 7);
  });
}

test('every opset from 7 to 12 is upgraded in one go, subgraphs included', async (t) => {
  for (let opset = 7; opset <= 12; opset++) {
    const branch = (scale: number) => ({
      name: `times_${scale}`,
      nodes: [
        {
          name: `squeeze_${scale}`,
          opType: 'Squeeze',
          domain: '',
          inputs: ['c'],
          outputs: [`s_${scale}`],
          attributes: new Map([['axes', intsValue([0])]]),
        },
      ],
      inputs: [],
      outputs: [{ name: `s_${scale}`, dtype: 'float32' as const, shape: null }],
      initializers: new Map(),
      valueInfo: new Map(),
    });
    const model = tinyModel({
      inputs: [
        ['x', 'float32', [1, 3]],
        ['which', 'bool', []],
      ],
      outputs: [['y', 'float32', null]],
      nodes: [
        { op: 'Neg', inputs: ['x'], outputs: ['c'] },
        {
          op: 'If',
          inputs: ['which'],
          outputs: ['y'],
          attributes: {
            then_branch: { kind: 'graph', value: branch(1) },
            else_branch: { kind: 'graph', value: branch(2) },
          },
        },
      ],
      opset,
    });
    await checkPass(t, model, upgradeOpset);
  }
});

test('a model of opset 13 or newer is left alone', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', [1]]],
    outputs: [['y', 'float32', [1]]],
    nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
    opset: 17,
  });
  assert.equal(await upgradeOpset(model), false);
  assert.equal(model.opsetImports.get(''), 17);
});

test('what has no equivalent is refused with the node, the operator and the opset', async () => {
  const mixed = tensorFromFloats([4], Float32Array.of(1, 1, 2, 0.5));
  const resize = single(10, { op: 'Resize', name: 'up_and_down', inputs: ['x', 'mixed'] });
  resize.graph.initializers.set('mixed', mixed);
  const context = { node: 'up_and_down', opType: 'Resize', opset: 10 };
  await assert.rejects(upgradeOpset(resize), (error: { code: string; context: object }) => {
    assert.equal(error.code, 'MODEL_UNSUPPORTED_OPSET');
    assert.deepEqual({ ...error.context, remediation: undefined }, { ...context, remediation: undefined });
    return true;
  });
  const perActivation = single(8, { op: 'BatchNormalization', attributes: { spatial: intValue(0) } });
  await assert.rejects(upgradeOpset(perActivation), { code: 'MODEL_UNSUPPORTED_OPSET' });
  await assert.rejects(upgradeOpset(single(9, { op: 'ImageScaler' })), { code: 'MODEL_UNSUPPORTED_OPSET' });
  await assert.rejects(upgradeOpset(single(6, { op: 'Relu' })), { code: 'MODEL_UNSUPPORTED_OPSET' });
});

test('scalars of upgraded bounds have the type of the value', async (t) => {
  const model = single(10, { op: 'Clip', attributes: { min: floatValue(0) } });
  const after = await checkPass(t, model, upgradeOpset);
  assert.deepEqual(after.graph.initializers.get(after.graph.nodes[0]!.inputs[1]!), scalarFloat(0));
  assert.equal((await runModel(t, after)).get('y')!.dtype, 'float32');
});
