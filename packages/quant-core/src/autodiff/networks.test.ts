import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  elementCount,
  floatValue,
  intsValue,
  intValue,
  type Model,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { backpropagate, knownShapes } from './gradients.js';
import { ShapedBuilder } from './shaped-builder.js';
import { constants64, evaluate64 } from './testing/evaluate64.js';

/** Distance of finite differences, times the root mean square of the tensor that is moved. */
const STEP = 1e-6;

/**
 * Compares directional derivatives of ⟨r, y⟩, with random r, by each given initializer alone: from the gradients that onnxruntime
 * computes, and from central differences of the whole network in float64.
 * @param shape of the input, named x
 */
async function checkNetwork(
  t: TestContext,
  model: Model,
  input: string,
  shape: readonly number[],
  wrt: readonly string[],
) {
  const next = gaussian(seededRandom(11));
  const output = model.graph.outputs[0]!.name;
  const x = floats(
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => next()),
  );
  const builder = new ShapedBuilder(model, knownShapes(model, new Map([['N', shape[0]!]])));
  const cotangent = builder.constant('r', randomTensor(builder.shapeOf(output), 21));
  const gradients = await backpropagate(model, builder, new Map([[output, cotangent]]), wrt);
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...builder.nodes],
    initializers: new Map(builder.initializers),
  };
  const names = wrt.map((name) => gradients.get(name)!);
  const [results] = await runWhole({ ...model, graph }, names, [new Map([[input, x]])], temporaryFolder(t));
  const constants = await constants64({ ...model, graph });
  const weights = constants.get(cotangent)!.data;
  const values = new Map(constants).set(input, { shape, data: Float64Array.from(x.data as Float32Array) });
  const loss = () =>
    evaluate64(model, values)
      .get(output)!
      .data.reduce((sum, y, i) => sum + y * weights[i]!, 0);
  for (const [i, name] of wrt.entries()) {
    const { data } = values.get(name)!;
    const start = data.slice();
    const size = Math.sqrt(start.reduce((sum, value) => sum + value * value, 0) / start.length);
    const direction = start.map(() => size * next());
    const along = (step: number) => {
      for (const [j, value] of start.entries()) data[j] = value + step * direction[j]!;
      return loss();
    };
    const expected = (along(STEP) - along(-STEP)) / (2 * STEP);
    data.set(start);
    const gradient = results!.get(names[i]!)!.data as Float32Array;
    const actual = direction.reduce((sum, value, j) => sum + value * gradient[j]!, 0);
    const scale = Math.hypot(...gradient) * Math.hypot(...direction);
    assert.ok(Math.abs(actual - expected) <= 1e-5 * scale, `${name}: ${actual}, not ${expected}, of up to ${scale}`);
  }
}

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
  await checkNetwork(t, model, 'x', [2, 6, 9, 9], wrt);
});

test('gradients of a block of a transformer are those of its definition', async (t) => {
  const { model, wrt } = transformerBlock();
  await checkNetwork(t, model, 'x', [3, 5, 8], wrt);
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
    await checkNetwork(t, model, model.graph.inputs[0]!.name, [1, 3, 32, 32], some);
  });
}
