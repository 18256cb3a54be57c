import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { syntheticFeeds } from '../../evaluate/index.js';
import {
  type Attribute,
  floatValue,
  intAttribute,
  intsAttribute,
  intsValue,
  intValue,
  type Model,
  type Node,
  stringValue,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { readModel, validateModel, writeModel } from '../../onnx/index.js';
import { prepareModel } from '../../passes/prepare-model.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import type { HostTensor } from '../../runtime/runtime.js';
import { ScratchTensors } from '../../scratch-tensors.js';
import { quantizedNetwork } from '../../testing/quantized-network.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { smallNetwork } from '../../testing/small-network.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { buildGraph, type QuantizedModel } from '../build-graph.js';
import type { WeightEncoding } from '../weight-encoders.js';
import { TRITFORGE_DOMAIN } from './functions.js';

const runtime = createOnnxRuntime();
type Outputs = ReadonlyMap<string, HostTensor>;

async function written(t: TestContext, source: QuantizedModel, encoding: WeightEncoding): Promise<string> {
  const path = join(temporaryFolder(t), `${encoding}.onnx`);
  await writeModel(await buildGraph(source, { encoding, minimumOpset: 14 }), path);
  return path;
}

async function run(path: string, optimization: 'all' | 'none'): Promise<Outputs> {
  const session = await runtime.load(path, { threads: 1, optimization });
  const inputs = session.inputs.map((input) => ({
    ...input,
    shape: input.shape.map((size) => (typeof size === 'number' ? size : size === 'N' ? 2 : 10)),
  }));
  const outputs = await session.run(syntheticFeeds(inputs, 3));
  await session.release();
  return outputs;
}

/**
 * Writes the network as an accelerated artifact, and asserts that the file is valid, that it computes the very outputs of the
 * portable artifact as users run it, and as written those of its integer reference.
 */
async function accelerate(t: TestContext, model: Model, recipe: Recipe = {}): Promise<Model> {
  const source = await quantizedNetwork(t, model, { firstLast: { bits: 2 }, weights: { groupSize: 4 }, ...recipe });
  const path = await written(t, source, 'accelerated');
  const artifact = await readModel(path);
  await validateModel(artifact);
  assert.deepEqual(await run(path, 'all'), await run(await written(t, source, 'portable'), 'all'));
  assert.deepEqual(await run(path, 'none'), await run(await written(t, source, 'integerReference'), 'none'));
  return artifact;
}

/** `tritforge` operators by node name, and the numbers of the others. */
function operators(model: Model): { calls: Record<string, string>; others: Record<string, number> } {
  const calls: Record<string, string> = {};
  const others: Record<string, number> = {};
  for (const { name, opType, domain } of model.graph.nodes) {
    if (domain === TRITFORGE_DOMAIN) calls[name] = opType;
    else others[opType] = (others[opType] ?? 0) + 1;
  }
  return { calls, others };
}

const callNamed = (model: Model, name: string): Node => model.graph.nodes.find((node) => node.name === name)!;

let seed = 1;
type Attributes = Readonly<Record<string, Attribute>>;

/** A graph of 8 × 9 × 9 images, written down node by node; each node is named after its output. */
class Net {
  readonly nodes: TinyNode[] = [];
  readonly constants: Record<string, Tensor> = {};

  conv(from: string, to: string, attributes: Attributes = {}, shape: readonly number[] = [8, 8, 3, 3]): this {
    const fan = shape.slice(1).reduce((product, size) => product * size, 1);
    this.constants[`${to}.w`] = randomTensor(shape, seed++, Math.sqrt(2 / fan));
    this.constants[`${to}.b`] = randomTensor([shape[0]!], seed++, 0.1);
    const kernel = shape.slice(2);
    const pads =
      'auto_pad' in attributes ? {} : { pads: intsValue([...kernel, ...kernel].map((size) => (size - 1) / 2)) };
    return this.op('Conv', [from, `${to}.w`, `${to}.b`], to, { ...pads, ...attributes });
  }

  op(op: string, inputs: readonly string[], to: string, attributes: Attributes = {}): this {
    this.nodes.push({ op, name: to, inputs, outputs: [to], attributes });
    return this;
  }

  ints(name: string, values: readonly number[]): this {
    this.constants[name] = tensorFromInt64([values.length], values);
    return this;
  }

  model(output: string, input: readonly (number | string)[] = ['N', 8, 9, 9], opset = 17): Model {
    const { nodes, constants } = this;
    return tinyModel({
      inputs: [['x', 'float32', input]],
      outputs: [[output, 'float32', null]],
      nodes,
      constants,
      opset,
    });
  }
}

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

/** Networks with an operator between convolutions, and what is left of it. */
const BETWEEN: Readonly<Record<string, readonly [make: () => Net, kept: Record<string, number>]>> = {
  'Concat of channels': [
    () =>
      pair()
        .op('Concat', ['a', 'b'], 'm', { axis: intValue(-3) })
        .conv('m', 'y', {}, [8, 16, 1, 1]),
    {},
  ],
  'Concat that shares a scale': [
    () =>
      relus(pair())
        .op('Concat', ['ar', 'br'], 'm', { axis: intValue(1) })
        .conv('m', 'y', {}, [8, 16, 1, 1]),
    {},
  ],
  'Mul of two images': [() => pair().op('Mul', ['a', 'b'], 'm').conv('m', 'y'), {}],
  LeakyRelu: [
    () =>
      pair()
        .op('LeakyRelu', ['a'], 'm', { alpha: floatValue(0.1) })
        .conv('m', 'y'),
    {},
  ],
  Sigmoid: [() => pair().op('Sigmoid', ['a'], 'm').conv('m', 'y'), {}],
  'Pad of the sides': [
    () => pair().ints('pads', [0, 0, 1, 2, 0, 0, 0, 3]).op('Pad', ['a', 'pads'], 'm').conv('m', 'y'),
    {},
  ],
  'Pad that reflects': [
    () =>
      pair()
        .ints('pads', [0, 0, 1, 2, 0, 0, 0, 3])
        .op('Pad', ['a', 'pads'], 'm', { mode: stringValue('reflect') })
        .conv('m', 'y'),
    {},
  ],
  'Slice with axes': [
    () =>
      pair()
        .ints('s', [1, 2])
        .ints('e', [7, 8])
        .ints('axes', [-1, 1])
        .ints('steps', [2, 1])
        .op('Slice', ['a', 's', 'e', 'axes', 'steps'], 'm')
        .conv('m', 'y', {}, [8, 6, 1, 1]),
    {},
  ],
  'Slice without axes': [
    () =>
      pair()
        .ints('s', [0, 2, 1])
        .ints('e', [99, 8, 7])
        .op('Slice', ['a', 's', 'e'], 'm')
        .conv('m', 'y', {}, [8, 6, 1, 1]),
    {},
  ],
  'Resize by scales': [() => resized({ scales: tensorFromFloats([4], Float32Array.of(1, 1, 2, 3)) }), {}],
  'Resize to sizes': [() => resized({ sizes: tensorFromInt64([4], [2, 8, 12, 7]) }), {}],
  'MaxPool with dilations': [
    () =>
      pair()
        .op('MaxPool', ['a'], 'm', {
          kernel_shape: intsValue([2, 3]),
          strides: intsValue([1, 2]),
          dilations: intsValue([2, 1]),
        })
        .conv('m', 'y'),
    { MaxPool: 0 },
  ],
  'MaxPool that rounds up': [
    () =>
      pair()
        .op('MaxPool', ['a'], 'm', {
          kernel_shape: intsValue([2, 2]),
          strides: intsValue([2, 2]),
          ceil_mode: intValue(1),
        })
        .conv('m', 'y'),
    { MaxPool: 1, Transpose: 4 },
  ],
  AveragePool: [
    () =>
      pair()
        .op('AveragePool', ['a'], 'm', { kernel_shape: intsValue([3, 3]) })
        .conv('m', 'y'),
    { AveragePool: 1, Transpose: 4 },
  ],
  'channel shuffle': [
    () =>
      pair()
        .ints('split', [0, 2, 4, 9, 9])
        .ints('join', [0, 8, 9, 9])
        .op('Reshape', ['a', 'split'], 'g')
        .op('Transpose', ['g'], 'h', { perm: intsValue([0, 2, 1, 3, 4]) })
        .op('Reshape', ['h', 'join'], 'm')
        .conv('m', 'y'),
    { Reshape: 2, Transpose: 3 },
  ],
  'shuffle of rows': [
    () =>
      pair()
        .ints('split', [0, 8, 3, 3, 9])
        .ints('join', [0, 8, 9, 9])
        .op('Reshape', ['a', 'split'], 'g')
        .op('Transpose', ['g'], 'h', { perm: intsValue([0, 1, 3, 2, 4]) })
        .op('Reshape', ['h', 'join'], 'm')
        .conv('m', 'y'),
    { Reshape: 2, Transpose: 5 },
  ],
};

/** Two branches, the second of which ends in the output as well. */
function pair(): Net {
  return new Net().conv('x', 'a').conv('x', 'b');
}

function relus(net: Net): Net {
  return net.op('Relu', ['a'], 'ar').op('Relu', ['b'], 'br');
}

function resized({ scales, sizes }: { scales?: Tensor; sizes?: Tensor }): Net {
  const net = pair();
  net.constants.to = (scales ?? sizes)!;
  const attributes = { mode: stringValue('nearest'), coordinate_transformation_mode: stringValue('asymmetric') };
  return net.op('Resize', scales ? ['a', '', 'to'] : ['a', '', '', 'to'], 'm', attributes).conv('m', 'y');
}

for (const [what, [make, kept]] of Object.entries(BETWEEN)) {
  test(`${what} works on images with channels last`, async (t) => {
    const { others } = operators(await accelerate(t, make().model('y')));
    assert.equal(others.Transpose, kept.Transpose ?? 2, 'transpositions besides those of the input and of the output');
    for (const [op, count] of Object.entries(kept)) assert.equal(others[op] ?? 0, count, op);
  });
}

test('Split divides images with channels last', async (t) => {
  const net = new Net().conv('x', 'a').ints('parts', [3, 5]);
  net.nodes.push({
    op: 'Split',
    name: 's',
    inputs: ['a', 'parts'],
    outputs: ['l', 'r'],
    attributes: { axis: intValue(1) },
  });
  net
    .conv('l', 'lc', {}, [8, 3, 3, 3])
    .conv('r', 'rc', {}, [8, 5, 3, 3])
    .op('Add', ['lc', 'rc'], 'sum')
    .conv('sum', 'y');
  const { calls, others } = operators(await accelerate(t, net.model('y')));
  assert.deepEqual([calls.rc, others.Transpose, others.Split], ['TernaryConvAdd', 2, 1]);
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
    net.constants[`${to}.w`] = randomTensor(sizes, seed++, 0.5);
    net.constants[`${to}.b`] = randomTensor([sizes[1]], seed++, 0.1);
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
  const path = await written(t, source, 'accelerated');
  const expected = await run(path, 'none');
  const model = await readModel(path);
  await validateModel(model);
  const scratchDir = temporaryFolder(t);
  const scratch = new ScratchTensors(join(scratchDir, 'tensors.bin'));
  await prepareModel(model, { runtime, scratch, scratchDir, maxResultBytes: 2 ** 20 });
  assert.deepEqual([model.functions, operators(model).calls], [[], {}]);
  const inlined = join(scratchDir, 'inlined.onnx');
  await writeModel(model, inlined);
  assert.deepEqual(await run(inlined, 'none'), expected);
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
