import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { intAttribute, intsAttribute, intsValue, intValue, stringValue } from '../../ir/index.js';
import { readModel, validateModel, writeModel } from '../../onnx/index.js';
import { prepareModel } from '../../passes/prepare-model.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import { ScratchTensors } from '../../scratch-tensors.js';
import { accelerate, callNamed, Net, operators, runEncoded, writeEncoded } from '../../testing/accelerated-network.js';
import { quantizedNetwork } from '../../testing/quantized-network.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { smallNetwork } from '../../testing/small-network.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { TRITFORGE_DOMAIN } from './functions.js';

test('the small network runs on operators of the domain, with the residual addition inside a convolution', async (t) => {
  const { calls, others } = operators(await accelerate(t, smallNetwork()));
  assert.deepEqual(calls, {
    stem: 'TernaryConv',
    depthwise: 'Int8Conv',
    down: 'TernaryConvAdd',
    pool: 'MaxPool',
    left: 'TernaryConv',
    right: 'TernaryConv',
    classifier: 'TernaryMatMul',
  });
  assert.deepEqual(others, {
    // Of the input and of the result of the pooling.
    QuantizeLinear: 2,
    Transpose: 2,
    Slice: 1,
    Pad: 1,
    Concat: 1,
    DequantizeLinear: 1,
    GlobalAveragePool: 1,
    Flatten: 1,
  });
});

test('layers with two ternary planes run on the int8 operators, with weights that are computed from their codes', async (t) => {
  const artifact = await accelerate(t, smallNetwork(), { weights: { groupSize: 4, residualPlanes: [{ op: 'Conv' }] } });
  const { calls, others } = operators(artifact);
  assert.deepEqual(calls, {
    stem: 'Int8Conv',
    depthwise: 'Int8Conv',
    down: 'Int8ConvAdd',
    pool: 'MaxPool',
    left: 'Int8Conv',
    right: 'Int8Conv',
    classifier: 'TernaryMatMul',
  });
  assert.equal(others.Add, 4, 'one sum of planes per convolution but the depthwise one');
  const weights = [...artifact.graph.initializers].filter(([name]) => name.includes('ternary'));
  assert.equal(weights.length, 4 * 2 + 1 + 1, 'two planes of four layers, the classifier, and the table');
});

test('layers of 4 bits run on the int8 operators, with weights that are computed from their codes', async (t) => {
  const recipe: Recipe = { method: 'int4', weights: { groupSize: 8 }, firstLast: { bits: 4 } };
  const { calls } = operators(await accelerate(t, smallNetwork(), recipe));
  assert.deepEqual(calls, {
    stem: 'Int8Conv',
    depthwise: 'Int8Conv',
    down: 'Int8ConvAdd',
    pool: 'MaxPool',
    left: 'Int8Conv',
    right: 'Int8Conv',
    classifier: 'Int8MatMul',
  });
});

test('linear layers with two planes or uniform weights run on the int8 operators, whichever way their weight is stored', async (t) => {
  const model = (op: string, transB: number) =>
    tinyModel({
      inputs: [['x', 'float32', ['N', 20]]],
      outputs: [['y', 'float32', null]],
      nodes: [
        {
          op,
          name: 'layer',
          inputs: op === 'Gemm' ? ['x', 'w', 'b'] : ['x', 'w'],
          outputs: ['y'],
          attributes: op === 'Gemm' ? { transB: intValue(transB) } : {},
        },
      ],
      constants: { w: randomTensor(transB ? [9, 20] : [20, 9], 3), b: randomTensor([9], 4) },
      opset: 17,
    });
  for (const [op, transB] of [
    ['Gemm', 0],
    ['Gemm', 1],
    ['MatMul', 0],
  ] as const) {
    const recipes: Recipe[] = [
      { weights: { groupSize: 8, residualPlanes: [{ name: '*' }] } },
      { method: 'uniform', weights: {} },
    ];
    for (const recipe of recipes) {
      const artifact = await accelerate(t, model(op, transB), recipe);
      assert.deepEqual(operators(artifact).calls, { layer: op === 'Gemm' ? 'Int8MatMul' : 'Int8MatMulNoBias' });
    }
  }
});

test('values of 4 bits are promised to the operators that take them in and clipped by those that make them', async (t) => {
  const artifact = await accelerate(t, smallNetwork(), { activations: { bits: 4 } });
  const { calls } = operators(artifact);
  assert.equal(calls.down, 'TernaryConvAddClip');
  assert.equal(calls.depthwise, 'Int8ConvClip');
  assert.equal(intAttribute(callNamed(artifact, 'depthwise'), 'y_max', 0), 15);
  const promised = Object.keys(calls)
    .filter((name) => name !== 'pool')
    .map((name) => [name, intAttribute(callNamed(artifact, name), 'x_max', 0)]);
  assert.deepEqual(Object.fromEntries(promised), {
    stem: 255,
    depthwise: 255,
    down: 15,
    left: 15,
    right: 15,
    classifier: 255,
  });
});

test('uniform layers of 2-bit inputs, with a number of weights that fills no bytes, promise and clip so', async (t) => {
  const net = new Net()
    .conv('x', 'a', {}, [5, 8, 3, 3])
    .conv('a', 'b', {}, [3, 5, 3, 3])
    .conv('b', 'y', {}, [7, 3, 3, 3]);
  const recipe: Recipe = { method: 'uniform', weights: {} };
  const artifact = await accelerate(t, net.model('y'), recipe);
  assert.deepEqual(operators(artifact).calls, { a: 'Int8ConvClip', b: 'Int8Conv', y: 'Int8Conv' });
  assert.equal(intAttribute(callNamed(artifact, 'a'), 'y_max', 0), 3);
  assert.equal(intAttribute(callNamed(artifact, 'b'), 'x_max', 0), 3);
});

test('of two convolutions that are added the later one adds, whatever comes between', async (t) => {
  const net = new Net()
    .conv('x', 'a')
    .conv('a', 'b')
    .conv('a', 'c')
    .op('Add', ['c', 'b'], 'sum')
    .op('Relu', ['sum'], 'r')
    .conv('r', 'y');
  assert.deepEqual(operators(await accelerate(t, net.model('y'))).calls, {
    a: 'TernaryConv',
    b: 'TernaryConv',
    c: 'TernaryConvAdd',
    y: 'TernaryConv',
  });
});

test('a convolution waits for an addend that is computed after it', async (t) => {
  const net = new Net()
    .conv('x', 'a')
    .op('Relu', ['a'], 'r')
    .conv('r', 'c')
    .op('MaxPool', ['r'], 'p', { kernel_shape: intsValue([3, 3]), pads: intsValue([1, 1, 1, 1]) })
    .op('Add', ['c', 'p'], 'sum')
    .conv('sum', 'y');
  assert.equal(operators(await accelerate(t, net.model('y'))).calls.c, 'TernaryConvAdd');
});

test('an addition stays outside where the result of the convolution is used twice, or is broadcast', async (t) => {
  const twice = new Net().conv('x', 'a').conv('a', 'b').op('Add', ['a', 'b'], 'sum').conv('sum', 'y');
  twice.conv('b', 'z').op('Add', ['y', 'z'], 'end');
  const first = operators(await accelerate(t, twice.model('end')));
  assert.deepEqual([first.calls.b, first.others.Add], ['TernaryConv', 2], 'the last sum is not quantized');
  const doubled = new Net().conv('x', 'a').op('Add', ['a', 'a'], 'sum').conv('sum', 'y');
  assert.equal(operators(await accelerate(t, doubled.model('y'))).calls.a, 'TernaryConv');
  const broadcast = new Net()
    .conv('x', 'a')
    .op('GlobalAveragePool', ['a'], 'mean')
    .conv('mean', 'gate', {}, [8, 8, 1, 1])
    .conv('a', 'b')
    .op('Add', ['b', 'gate'], 'sum')
    .conv('sum', 'y');
  const { calls } = operators(await accelerate(t, broadcast.model('y')));
  assert.deepEqual([calls.b, calls.gate], ['TernaryConv', 'TernaryConv']);
});

test('strides, dilations, groups and uneven padding reach the operator', async (t) => {
  const attributes = {
    strides: intsValue([2, 1]),
    dilations: intsValue([1, 2]),
    group: intValue(2),
    pads: intsValue([0, 1, 2, 3]),
  };
  const net = new Net().conv('x', 'a', attributes, [6, 4, 3, 3]).conv('a', 'y', {}, [5, 6, 1, 1]);
  const artifact = await accelerate(t, net.model('y'));
  const call = callNamed(artifact, 'a');
  for (const [name, value] of Object.entries(attributes)) assert.deepEqual(call.attributes.get(name), value);
  assert.deepEqual(intsAttribute(call, 'weight_shape', []), [6, 4, 3, 3]);
  assert.equal(intAttribute(call, 'group_size', 0), 4);
});

test('padding by SAME becomes numbers where the size of the image is known, else the layer is as in a portable artifact', async (t) => {
  const same = (how: string, stride: number) => ({ auto_pad: stringValue(how), strides: intsValue([stride, stride]) });
  const chain = (input: readonly (number | string)[]) => {
    const net = new Net()
      .conv('x', 'a', { auto_pad: stringValue('VALID') })
      .conv('a', 'b', same('SAME_LOWER', 1), [8, 8, 2, 2]);
    net.conv('b', 'c', same('SAME_UPPER', 2)).conv('c', 'y', same('SAME_LOWER', 2), [8, 8, 2, 2]);
    return net.model('y', input);
  };
  const known = await accelerate(t, chain(['N', 8, 10, 11]));
  const pads = (name: string) => intsAttribute(callNamed(known, name), 'pads', []);
  assert.deepEqual(pads('a'), [0, 0, 0, 0]);
  assert.deepEqual(pads('b'), [1, 1, 0, 0]);
  // Of 8 × 9: 4 windows of 3 in steps of 2 span 9, 5 span 11.
  assert.deepEqual(pads('c'), [0, 1, 1, 1]);
  // Of 4 × 5.
  assert.deepEqual(pads('y'), [0, 1, 0, 0]);
  const { calls, others } = operators(await accelerate(t, chain(['N', 8, 'H', 'W'])));
  assert.deepEqual([Object.keys(calls), others.Conv], [['a', 'b'], 2]);
});

test('convolutions over sequences and volumes are as in a portable artifact', async (t) => {
  const sequence = new Net().conv('x', 'a', {}, [8, 8, 3]).conv('a', 'y', {}, [8, 8, 3]).model('y', ['N', 8, 20]);
  const volume = new Net()
    .conv('x', 'a', {}, [4, 8, 3, 3, 3])
    .conv('a', 'y', {}, [8, 4, 1, 1, 1])
    .model('y', ['N', 8, 4, 5, 3]);
  for (const model of [sequence, volume]) {
    const artifact = await accelerate(t, model);
    assert.deepEqual([operators(artifact).calls, artifact.functions], [{}, []]);
  }
});

function perceptron(): Net {
  const net = new Net();
  for (const [from, to, sizes] of [
    ['x', 'a', [10, 7]],
    ['ar', 'b', [7, 9]],
    ['br', 'y', [9, 3]],
  ] as const) {
    net.constants[`${to}.w`] = randomTensor(sizes, sizes[0], 0.5);
    net.constants[`${to}.b`] = randomTensor([sizes[1]], sizes[1], 0.1);
    net.op('Gemm', [from, `${to}.w`, `${to}.b`], to);
    if (to !== 'y') net.op('Relu', [to], `${to}r`);
  }
  return net;
}

for (const method of ['fgq', 'int8'] as const) {
  const prefix = method === 'fgq' ? 'Ternary' : 'Int8';
  test(`Gemms keep their results in codes as long as layers follow (${method})`, async (t) => {
    const { calls } = operators(await accelerate(t, perceptron().model('y', ['N', 10]), { method }));
    assert.deepEqual(calls, { a: `${prefix}Gemm`, b: `${prefix}Gemm`, y: `${prefix}MatMul` });
  });

  test(`products of sequences with a matrix have floating-point results (${method})`, async (t) => {
    const net = new Net();
    net.constants.w = randomTensor([10, 6], 3, 0.4);
    net.constants.v = randomTensor([6, 5], 4, 0.4);
    net.op('MatMul', ['x', 'w'], 'a').op('Tanh', ['a'], 'h').op('MatMul', ['h', 'v'], 'y');
    const { calls, others } = operators(await accelerate(t, net.model('y', ['N', 7, 10]), { method }));
    assert.deepEqual(calls, { a: `${prefix}MatMulNoBias`, y: `${prefix}MatMulNoBias` });
    assert.deepEqual(others, { QuantizeLinear: 2, Tanh: 1 });
  });
}

test('a chain of Gemms with 4-bit inputs clips', async (t) => {
  const recipe: Recipe = { activations: { bits: 4 }, firstLast: { bits: 2 } };
  const artifact = await accelerate(t, perceptron().model('y', ['N', 10]), recipe);
  assert.equal(operators(artifact).calls.a, 'TernaryGemmClip');
  assert.equal(intAttribute(callNamed(artifact, 'b'), 'x_max', 0), 15);
});

test('layers without quantized activations are as in a portable artifact', async (t) => {
  const artifact = await accelerate(t, smallNetwork(), { activations: { bits: null } });
  assert.deepEqual([operators(artifact).calls, artifact.functions.length], [{}, 0]);
});

test('an accelerated artifact that is uploaded is inlined and computes the same', async (t) => {
  const source = await quantizedNetwork(t, smallNetwork());
  const path = await writeEncoded(t, source, 'accelerated');
  const expected = await runEncoded(path, 'none');
  const model = await readModel(path);
  await validateModel(model);
  const scratchDir = temporaryFolder(t);
  const scratch = new ScratchTensors(join(scratchDir, 'tensors.bin'));
  await prepareModel(model, { runtime: createOnnxRuntime(), scratch, scratchDir, maxResultBytes: 2 ** 20 });
  assert.deepEqual([model.functions, operators(model).calls], [[], {}]);
  const inlined = join(scratchDir, 'inlined.onnx');
  await writeModel(model, inlined);
  assert.deepEqual(await runEncoded(inlined, 'none'), expected);
});

test('only functions that are called are in the file, and the domain is imported', async (t) => {
  const artifact = await accelerate(t, new Net().conv('x', 'a').conv('a', 'y').model('y'));
  assert.deepEqual(
    artifact.functions.map(({ domain, name, opsetImports }) => [domain, name, opsetImports.get('')]),
    [[TRITFORGE_DOMAIN, 'TernaryConv', 17]],
  );
  assert.equal(artifact.opsetImports.get(TRITFORGE_DOMAIN), 1);
  assert.equal(artifact.irVersion, 8);
});

for (const opset of [13, 18, 21, 23]) {
  test(`models of opset ${opset} are inlined and fused like others`, async (t) => {
    const artifact = await accelerate(
      t,
      new Net().conv('x', 'a').op('Relu', ['a'], 'r').conv('r', 'y').model('y', undefined, opset),
    );
    assert.equal(artifact.functions[0]!.opsetImports.get(''), Math.max(opset, 14));
    assert.equal(artifact.opsetImports.get(''), Math.max(opset, 14));
  });
}
