import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LayerSettings, type Recipe, resolveRecipe } from '@tritforge/contracts';
import { type Graph, intValue, type Model, type Tensor, tensorFromBytes } from '../ir/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { findLayers } from './find-layers.js';
import { planLayers } from './plan-layers.js';

/** Convolutions in a row: conv0, conv1, …, the second one depthwise. */
function network(extra: readonly TinyNode[] = [], constants: Record<string, Tensor> = {}): Model {
  const conv = (i: number, weight: string, group = 1): TinyNode => ({
    op: 'Conv',
    name: `/body/conv${i}`,
    inputs: [`v${i}`, weight],
    outputs: [`v${i + 1}`],
    attributes: { group: intValue(group) },
  });
  return tinyModel({
    inputs: [['v0', 'float32', [1, 8, 4, 4]]],
    outputs: [['v4', 'float32', null]],
    nodes: [conv(0, 'w0'), conv(1, 'w1', 8), conv(2, 'w2'), conv(3, 'w3'), ...extra],
    constants: {
      w0: randomTensor([8, 8, 1, 1], 1),
      w1: randomTensor([8, 1, 1, 1], 2),
      w2: randomTensor([8, 8, 1, 1], 3),
      w3: randomTensor([8, 8, 1, 1], 4),
      ...constants,
    },
  });
}

const plan = (recipe: Recipe, model = network()) => planLayers(findLayers(model).layers, resolveRecipe(recipe));
const bits = (recipe: Recipe, model = network()) => plan(recipe, model).map(({ applied }) => applied.bits);

test('first, last and depthwise layers are int8 by default, the others ternary', () => {
  const planned = plan({});
  assert.deepEqual(
    planned.map(({ applied }) => applied.bits),
    [8, 8, 2, 8],
  );
  assert.deepEqual(
    planned.map(({ requested }) => requested.bits),
    [8, 2, 2, 8],
  );
  assert.match(planned[1]!.reason!, /depthwise/);
  assert.deepEqual(planned[2]!.applied, { bits: 2, groupSize: 64, planes: 1, activationBits: 8 });
  assert.equal(planned[0]!.applied.planes, null);
  assert.equal(planned[0]!.reason, null);
});

test('rules select by name, operator and depthwise; later ones win', () => {
  assert.deepEqual(bits({ method: 'int8' }), [8, 8, 8, 8]);
  assert.deepEqual(bits({ firstLast: { bits: 2 } }), [2, 8, 2, 2]);
  assert.deepEqual(bits({ layers: [{ match: { name: '*conv2' }, set: { bits: 8 } }] }), [8, 8, 8, 8]);
  assert.deepEqual(bits({ layers: [{ match: { depthwise: true }, set: { bits: 2 } }] }), [8, 2, 2, 8]);
  assert.deepEqual(
    bits({
      layers: [
        { match: { op: 'Conv' }, set: { bits: null } },
        { match: { name: '*3' }, set: { bits: 8 } },
      ],
    }),
    [null, null, null, 8],
  );
  const sizes = plan({ layers: [{ match: { name: '/body/*' }, set: { groupSize: 8 } }] });
  assert.deepEqual(
    sizes.map(({ applied }) => applied.groupSize),
    [null, null, 8, null],
  );
});

test('with 4-bit activations the first, the last and int8 layers keep 8-bit inputs, unless a rule says otherwise', () => {
  const inputs = (recipe: Recipe) =>
    plan({ activations: { bits: 4 }, ...recipe }).map(({ requested, applied }) => [
      requested.activationBits,
      applied.activationBits,
    ]);
  const [four, eight, dropped] = [
    [4, 4],
    [8, 8],
    [4, 8],
  ];
  assert.deepEqual(inputs({}), [eight, dropped, four, eight]);
  assert.deepEqual(inputs({ firstLast: { bits: 2 } }), [eight, dropped, four, eight]);
  assert.deepEqual(inputs({ method: 'int8' }), [eight, four, four, eight]);
  const rule = (name: string, set: LayerSettings) => ({ layers: [{ match: { name }, set }] });
  assert.deepEqual(inputs(rule('*conv2', { bits: 8 })), [eight, dropped, eight, eight]);
  assert.deepEqual(inputs(rule('*conv2', { activationBits: 8 })), [eight, dropped, eight, eight]);
  assert.deepEqual(inputs(rule('*', { activationBits: 4 })), [four, four, four, four]);
  assert.deepEqual(inputs({ activations: { bits: null }, ...rule('*conv2', { activationBits: 4 }) })[2], four);
  const [, depthwise] = plan({ activations: { bits: 4 } });
  assert.match(depthwise!.reason!, /depthwise/);
});

test('an excluded layer keeps its weights and its activations', () => {
  const planned = plan({ layers: [{ match: { name: '*conv2' }, set: { exclude: true } }] });
  assert.deepEqual(planned[2]!.applied, { bits: null, groupSize: null, planes: null, activationBits: null });
});

test('the method int4 has groups like fgq, and the same exceptions', () => {
  const planned = plan({ method: 'int4', weights: { groupSize: 128 } });
  assert.deepEqual(
    planned.map(({ applied }) => applied.bits),
    [8, 8, 4, 8],
  );
  assert.deepEqual(planned[2]!.applied, { bits: 4, groupSize: 128, planes: null, activationBits: 8 });
  assert.match(planned[1]!.reason!, /depthwise/);
  const layers = [{ match: { name: '*2' }, set: { bits: 4 as const } }];
  assert.deepEqual(plan({ layers })[2]!.applied, { bits: 4, groupSize: 64, planes: null, activationBits: 8 });
  assert.deepEqual(bits({ method: 'int4', firstLast: { bits: 4 } }), [4, 8, 4, 4]);
});

test('the method uniform has no groups, inputs of 2 bits, and the exceptions of others; rules give groups and take them', () => {
  const planned = plan({ method: 'uniform' });
  const { applied } = planned[2]!;
  assert.deepEqual(
    planned.map((layer) => layer.applied.bits),
    [8, 8, 2, 8],
  );
  assert.deepEqual(applied, { bits: 2, groupSize: null, planes: null, activationBits: 2 });
  assert.deepEqual(planned[1]!.applied, { bits: 8, groupSize: null, planes: null, activationBits: 8 });
  assert.match(planned[1]!.reason!, /depthwise/);
  const rule = (name: string, set: LayerSettings) => ({ layers: [{ match: { name }, set }] });
  assert.deepEqual(bits({ method: 'uniform', ...rule('*conv1', { bits: 2 }) }), [8, 2, 2, 8]);
  assert.deepEqual(bits({ method: 'uniform', firstLast: { bits: 2 } }), [2, 8, 2, 2]);
  assert.deepEqual(plan({ method: 'uniform', ...rule('*2', { groupSize: 16 }) })[2]!.applied, {
    ...applied,
    groupSize: 16,
    planes: 1,
  });
  assert.deepEqual(plan(rule('*2', { groupSize: null }))[2]!.applied, { ...applied, activationBits: 8 });
  assert.deepEqual(plan({ method: 'int8', ...rule('*2', { bits: 2, groupSize: null }) })[2]!.applied.groupSize, null);
  assert.equal(plan({ method: 'uniform', ...rule('*2', { bits: 4 }) })[2]!.applied.groupSize, 64);
});

test('selectors and rules give layers a second plane, rules having the last word', () => {
  const planes = (recipe: Recipe) => plan({ firstLast: { bits: 2 }, ...recipe }).map(({ applied }) => applied.planes);
  assert.deepEqual(planes({}), [1, null, 1, 1]);
  assert.deepEqual(planes({ weights: { residualPlanes: [{ name: '*0' }, { name: '*2' }] } }), [2, null, 2, 1]);
  const layers = [
    { match: { name: '*2' }, set: { planes: 1 as const } },
    { match: { name: '*3' }, set: { planes: 2 as const } },
  ];
  assert.deepEqual(planes({ weights: { residualPlanes: [{ op: 'Conv' }] }, layers }), [2, null, 1, 2]);
  assert.throws(
    () => planes({ weights: { residualPlanes: [{ op: 'Conv' }, { name: 'nowhere' }] } }),
    (error: { code: string; context: { field?: string } }) =>
      error.code === 'SELECTOR_UNMATCHED' && error.context.field === 'recipe.weights.residualPlanes[1]',
  );
});

test('a rule that matches nothing is an error that names it', () => {
  const layers = [
    { match: { name: '*' }, set: { bits: 8 as const } },
    { match: { op: 'Gemm' }, set: { bits: 2 as const } },
  ];
  assert.throws(
    () => plan({ layers }),
    (error: { code: string; message: string; context: { field?: string } }) => {
      assert.equal(error.code, 'SELECTOR_UNMATCHED');
      assert.match(error.message, /Gemm/);
      assert.equal(error.context.field, 'recipe.layers[1].match');
      return true;
    },
  );
});

test('a weight that two layers share is quantized once, as the first has it', () => {
  const model = network();
  model.graph.nodes[3]!.inputs[1] = 'w2';
  const planned = plan({}, model);
  assert.deepEqual(planned[3]!.applied, { bits: 2, groupSize: 64, planes: 1, activationBits: 8 });
  assert.match(planned[3]!.reason!, /shared with \/body\/conv2/);
});

test('layouts count output channels, input channels and taps, whichever way a matrix is stored', () => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [2, 6]],
      ['i', 'float32', [1, 4, 9]],
    ],
    outputs: [
      ['a', 'float32', null],
      ['b', 'float32', null],
      ['c', 'float32', null],
      ['d', 'float32', null],
      ['e', 'float32', null],
    ],
    nodes: [
      { op: 'Gemm', inputs: ['x', 'w65'], outputs: ['a'] },
      { op: 'Gemm', inputs: ['x', 'w76'], outputs: ['b'], attributes: { transB: intValue(1) } },
      { op: 'MatMul', inputs: ['x', 'w64'], outputs: ['c'] },
      { op: 'MatMul', inputs: ['w32', 'x'], outputs: ['d'] },
      { op: 'Conv', inputs: ['i', 'k'], outputs: ['e'], attributes: { group: intValue(2) } },
    ],
    constants: {
      w65: randomTensor([6, 5], 1),
      w76: randomTensor([7, 6], 2),
      w64: randomTensor([6, 4], 3),
      w32: randomTensor([3, 2], 4),
      k: randomTensor([8, 2, 3], 5),
    },
  });
  const layers = findLayers(model).layers;
  assert.deepEqual(
    layers.map(({ layout, transposed }) => [layout.outputChannels, layout.inputChannels, layout.taps, transposed]),
    [
      [5, 6, 1, true],
      [7, 6, 1, false],
      [4, 6, 1, true],
      [3, 2, 1, false],
      [8, 2, 3, false],
    ],
  );
  assert.match(layers[3]!.floatInputReason!, /left operand/);
});

test('layers that cannot be quantized are listed with the reason', () => {
  const half = tensorFromBytes('float16', [32, 16], new Uint8Array(1024));
  const model = network(
    [
      { op: 'MatMul', name: 'half', inputs: ['h', 'w16'], outputs: ['o1'] },
      { op: 'Gather', name: 'table', inputs: ['rows', 'ids'], outputs: ['o2'] },
      { op: 'MatMul', name: 'tied', inputs: ['o2', 'rows'], outputs: ['o3'] },
      { op: 'ConvTranspose', name: 'up', inputs: ['v0', 'big'], outputs: ['o4'] },
      { op: 'Conv', name: 'dynamic', inputs: ['v0', 'v1'], outputs: ['o5'] },
      { op: 'MatMul', name: 'batched', inputs: ['h', 'stack'], outputs: ['o6'] },
    ],
    {
      w16: half,
      rows: randomTensor([16, 16], 5),
      big: randomTensor([8, 8, 2, 2], 6),
      stack: randomTensor([4, 8, 8], 7),
    },
  );
  const { layers, kept } = findLayers(model);
  assert.deepEqual(
    layers.map(({ node }) => node.name),
    ['/body/conv0', '/body/conv1', '/body/conv2', '/body/conv3'],
  );
  assert.deepEqual(
    kept.map(({ node, reason }) => [node, reason]),
    [
      ['half', 'the weight is float16, not float32'],
      ['table', 'the table is smaller than the operators that read its codes'],
      ['tied', 'the weight also feeds Gather table'],
      ['up', 'ConvTranspose has no integer form'],
      ['dynamic', 'the weight is computed when the model runs'],
      ['batched', 'the weight has 3 dimensions, not 2'],
    ],
  );
});

test('layers in branches are found and keep their activations, wherever their weight is stored', () => {
  const branch = (weight: string, own: boolean): Graph => ({
    name: weight,
    nodes: [
      {
        name: `in_${weight}`,
        opType: 'MatMul',
        domain: '',
        inputs: ['x', weight],
        outputs: [`r_${weight}`],
        attributes: new Map(),
      },
    ],
    inputs: [],
    outputs: [{ name: `r_${weight}`, dtype: 'float32', shape: null }],
    initializers: new Map(own ? [[weight, randomTensor([4, 4], 1)]] : []),
    valueInfo: new Map(),
  });
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [1, 4]],
      ['c', 'bool', []],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [
      {
        op: 'If',
        inputs: ['c'],
        outputs: ['y'],
        attributes: {
          then_branch: { kind: 'graph', value: branch('outer', false) },
          else_branch: { kind: 'graph', value: branch('inner', true) },
        },
      },
    ],
    constants: { outer: randomTensor([4, 4], 2) },
  });
  const planned = plan({ firstLast: { bits: 2 } }, model);
  assert.deepEqual(
    planned.map(({ layer, applied }) => [layer.node.name, applied.bits, applied.activationBits]),
    [
      ['in_outer', 2, null],
      ['in_inner', 2, null],
    ],
  );
  assert.match(planned[0]!.reason!, /control flow/);
});
