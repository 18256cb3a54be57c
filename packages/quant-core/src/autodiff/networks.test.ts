import { test } from 'node:test';
import {
  floatValue,
  intsValue,
  intValue,
  type Model,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { checkNetwork } from './testing/check-network.js';

/** Expansion, a strided depthwise convolution and projection, with frozen batch normalizations. */
function mobileBlock(): { model: Model; wrt: string[] } {
  const constants: Record<string, Tensor> = {};
  const normalized = (
    name: string,
    from: string,
    shape: readonly number[],
    attributes: TinyNode['attributes'] = {},
  ) => {
    const channels = shape[0]!;
    constants[`${name}.w`] = randomTensor(shape, channels + shape[1]!, 0.5);
    const statistics = { scale: [0.3, 1], shift: [0.5, 0.5], mean: [0.2, 0], variance: [0.1, 1] } as const;
    for (const [part, [spread, centre]] of Object.entries(statistics))
      constants[`${name}.${part}`] = randomTensor([channels], channels + part.length, spread, centre);
    return [
      { op: 'Conv', inputs: [from, `${name}.w`], outputs: [`${name}.c`], attributes },
      {
        op: 'BatchNormalization',
        inputs: [`${name}.c`, ...Object.keys(statistics).map((part) => `${name}.${part}`)],
        outputs: [name],
      },
    ] satisfies TinyNode[];
  };
  const clip = (from: string): TinyNode => ({ op: 'Clip', inputs: [from, 'zero', 'six'], outputs: [`${from}.6`] });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 6, 9, 9]]],
    outputs: [['project', 'float32', null]],
    nodes: [
      ...normalized('expand', 'x', [24, 6, 1, 1]),
      clip('expand'),
      ...normalized('depthwise', 'expand.6', [24, 1, 3, 3], {
        group: intValue(24),
        strides: intsValue([2, 2]),
        pads: intsValue([1, 1, 1, 1]),
      }),
      clip('depthwise'),
      ...normalized('project', 'depthwise.6', [8, 24, 1, 1]),
    ],
    constants: {
      ...constants,
      zero: tensorFromFloats([], Float32Array.of(0)),
      six: tensorFromFloats([], Float32Array.of(6)),
    },
  });
  return { model, wrt: Object.keys(constants) };
}

/** Attention of two heads and a feed-forward part, each behind a normalization and beside a residual connection. */
function transformerBlock(): { model: Model; wrt: string[] } {
  const [length, width, heads] = [5, 8, 2];
  const weights: Record<string, Tensor> = {
    ...Object.fromEntries(['q', 'k', 'v', 'o'].map((name, i) => [name, randomTensor([width, width], 30 + i, 0.4)])),
    up: randomTensor([width, 4 * width], 40, 0.4),
    down: randomTensor([4 * width, width], 41, 0.4),
    bias: randomTensor([4 * width], 42, 0.2),
    g1: randomTensor([width], 43, 0.2, 1),
    g2: randomTensor([width], 44, 0.2, 1),
    b1: randomTensor([width], 45, 0.2),
    b2: randomTensor([width], 46, 0.2),
  };
  const ofHeads = (name: string): TinyNode[] => [
    { op: 'MatMul', inputs: ['n1', name], outputs: [`${name}m`] },
    { op: 'Reshape', inputs: [`${name}m`, 'split'], outputs: [`${name}r`] },
    {
      op: 'Transpose',
      inputs: [`${name}r`],
      outputs: [`${name}h`],
      attributes: { perm: intsValue(name === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3]) },
    },
  ];
  const norm = (x: string, i: number): TinyNode => ({
    op: 'LayerNormalization',
    inputs: [x, `g${i}`, `b${i}`],
    outputs: [`n${i}`],
    attributes: { axis: intValue(-1), epsilon: floatValue(1e-5) },
  });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', length, width]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      norm('x', 1),
      ...['q', 'k', 'v'].flatMap(ofHeads),
      { op: 'MatMul', inputs: ['qh', 'kh'], outputs: ['scores'] },
      { op: 'Mul', inputs: ['scores', 'half'], outputs: ['scaled'] },
      { op: 'Softmax', inputs: ['scaled'], outputs: ['attention'], attributes: { axis: intValue(-1) } },
      { op: 'MatMul', inputs: ['attention', 'vh'], outputs: ['context'] },
      { op: 'Transpose', inputs: ['context'], outputs: ['turned'], attributes: { perm: intsValue([0, 2, 1, 3]) } },
      { op: 'Reshape', inputs: ['turned', 'join'], outputs: ['joined'] },
      { op: 'MatMul', inputs: ['joined', 'o'], outputs: ['attended'] },
      { op: 'Add', inputs: ['x', 'attended'], outputs: ['h'] },
      norm('h', 2),
      { op: 'MatMul', inputs: ['n2', 'up'], outputs: ['u'] },
      { op: 'Add', inputs: ['u', 'bias'], outputs: ['ub'] },
      // Gelu as exporters spell it out.
      { op: 'Div', inputs: ['ub', 'root2'], outputs: ['e1'] },
      { op: 'Erf', inputs: ['e1'], outputs: ['e2'] },
      { op: 'Add', inputs: ['e2', 'one'], outputs: ['e3'] },
      { op: 'Mul', inputs: ['ub', 'e3'], outputs: ['e4'] },
      { op: 'Mul', inputs: ['e4', 'half'], outputs: ['gelu'] },
      { op: 'MatMul', inputs: ['gelu', 'down'], outputs: ['d'] },
      { op: 'Add', inputs: ['h', 'd'], outputs: ['y'] },
    ],
    constants: {
      ...weights,
      split: tensorFromInt64([4], [0, length, heads, width / heads]),
      join: tensorFromInt64([3], [0, length, width]),
      half: tensorFromFloats([], Float32Array.of(0.5)),
      one: tensorFromFloats([], Float32Array.of(1)),
      root2: tensorFromFloats([], Float32Array.of(Math.SQRT2)),
    },
  });
  return { model, wrt: Object.keys(weights) };
}

test('gradients of a block of MobileNet are those of its definition', async (t) => {
  const { model, wrt } = mobileBlock();
  await checkNetwork(t, { model, input: 'x', shape: [2, 6, 9, 9], wrt });
});

test('gradients of a block of a transformer are those of its definition', async (t) => {
  const { model, wrt } = transformerBlock();
  await checkNetwork(t, { model, input: 'x', shape: [3, 5, 8], wrt });
});

for (const name of ['resnet8_cifar10_mlperftiny', 'resnet20_cifar10']) {
  const file = ['models', `${name}.onnx`] as const;
  test(`gradients of ${name} are those of its definition`, { skip: skipWithout(file.join('/')) }, async (t) => {
    const model = await readModel(sharedData(...file));
    const { nodes, initializers } = model.graph;
    const weights = nodes
      .filter(({ opType }) => opType === 'Conv' || opType === 'Gemm' || opType === 'BatchNormalization')
      .flatMap(({ inputs }) => inputs.slice(1, 3))
      .filter((input) => initializers.has(input));
    // The deep ones take long in float64: every tenth, the first and the last among them.
    const some = weights.filter((_, i) => i % 10 === 0 || i === weights.length - 1);
    await checkNetwork(t, { model, input: model.graph.inputs[0]!.name, shape: [1, 3, 32, 32], wrt: some });
  });
}
