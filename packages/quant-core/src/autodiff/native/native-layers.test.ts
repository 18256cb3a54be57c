import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Attribute,
  intsValue,
  intValue,
  type Model,
  scalarUint8,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { readModel } from '../../onnx/index.js';
import { acceleratedRuntime } from '../../runtime/create-runtime.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { sharedData, skipWithout } from '../../testing/shared-data.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { assertNear } from '../testing/check-gradient.js';
import { checkNetwork, networkGradients } from '../testing/check-network.js';
import { withNativeLayers } from './native-layers.js';

const skip = acceleratedRuntime() === null && 'the native kernels were not built';

/** A network under construction: its input x has the shape [2, 5, 9, 7]. */
class Network {
  readonly #nodes: TinyNode[] = [];
  readonly #constants: Record<string, Tensor> = {};
  readonly #trained: string[] = [];

  add(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const output = `v${this.#nodes.length}`;
    this.#nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  }

  constant(tensor: Tensor): string {
    const name = `k${Object.keys(this.#constants).length}`;
    this.#constants[name] = tensor;
    return name;
  }

  trained(shape: readonly number[], spread = 0.5, middle = 0): string {
    const name = this.constant(randomTensor(shape, 50 + this.#trained.length, spread, middle));
    this.#trained.push(name);
    return name;
  }

  conv(
    x: string,
    weights: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
    bias = false,
  ): string {
    const inputs = [x, this.trained(weights), ...(bias ? [this.trained(weights.slice(0, 1))] : [])];
    return this.add('Conv', inputs, attributes);
  }

  normalized(x: string, channels: number, isTraining = true): string {
    const statistics = [this.trained([channels], 0.2), this.trained([channels], 0.3, 1)];
    const inputs = [x, this.trained([channels], 0.3, 1), this.trained([channels]), ...statistics];
    return this.add('BatchNormalization', inputs, { training_mode: intValue(isTraining ? 1 : 0) });
  }

  build(): { model: Model; wrt: string[] } {
    const output = this.#nodes.at(-1)!.outputs[0]!;
    const model = tinyModel({
      inputs: [['x', 'float32', ['N', 5, 9, 7]]],
      outputs: [[output, 'float32', null]],
      nodes: this.#nodes,
      constants: this.#constants,
      opset: 17,
    });
    return { model, wrt: this.#trained };
  }
}

function operatorsOf({ graph }: Model): string {
  return graph.nodes.map(({ opType }) => opType).join(' ');
}

const SHAPE = [2, 5, 9, 7];
const same = { pads: intsValue([1, 1, 1, 1]) };

const NETWORKS: readonly [what: string, make: (n: Network) => unknown, operators: string][] = [
  [
    'convolutions with strides, bias and uneven pads, and functions of elements between them',
    (n) => {
      const a = n.conv('x', [18, 5, 3, 2], { strides: intsValue([2, 1]), pads: intsValue([1, 0, 2, 1]) }, true);
      const b = n.add('Tanh', [n.add('Mul', [a, n.constant(tensorFromFloats([], Float32Array.of(0.5)))])]);
      n.conv(n.add('Sigmoid', [b]), [7, 18, 1, 1], { strides: intsValue([2, 2]) });
    },
    'Transpose FloatConv Mul Tanh Sigmoid FloatConv Transpose',
  ],
  [
    'normalizations that rectify, with and without a sum, and values that are read twice',
    (n) => {
      const a = n.add('Relu', [n.normalized(n.conv('x', [17, 5, 3, 3], same), 17)]);
      const b = n.normalized(n.conv(a, [17, 17, 3, 3], same), 17);
      const c = n.add('Relu', [n.add('Add', [b, a])]);
      const shortcut = n.normalized(n.conv(c, [17, 17, 1, 1]), 17);
      const d = n.add('Add', [n.normalized(n.conv(c, [17, 17, 3, 3], same), 17), shortcut]);
      n.add('GlobalAveragePool', [n.add('Relu', [d])]);
    },
    'Transpose FloatConv NormalizeBatch FloatConv NormalizeBatch FloatConv FloatConv NormalizeBatch NormalizeBatch ReduceSum Mul Reshape',
  ],
  [
    'a normalization whose sum is not rectified, and one that two nodes read',
    (n) => {
      const a = n.normalized(n.conv('x', [6, 5, 1, 1]), 6);
      const b = n.add('Add', [n.normalized(n.conv(a, [6, 6, 3, 3], same), 6), a]);
      n.add('Mul', [n.add('Tanh', [b]), a]);
    },
    'Transpose FloatConv NormalizeBatch FloatConv NormalizeBatch Tanh Mul Transpose',
  ],
  [
    'normalizations by given statistics, rectified or not, after a sum or not, and their statistics',
    (n) => {
      const a = n.add('Relu', [n.normalized(n.conv('x', [17, 5, 3, 3], same), 17, false)]);
      const b = n.add('Relu', [n.add('Add', [n.normalized(n.conv(a, [17, 17, 1, 1]), 17, false), a])]);
      n.normalized(n.conv(b, [3, 17, 1, 1]), 3, false);
    },
    'Transpose FloatConv NormalizeChannels FloatConv NormalizeChannels FloatConv NormalizeChannels Transpose',
  ],
  [
    'depthwise convolutions, with strides and bias',
    (n) => {
      const a = n.conv('x', [21, 5, 3, 3], same);
      const b = n.conv(a, [21, 1, 3, 3], { ...same, group: intValue(21) });
      const strided = { group: intValue(21), strides: intsValue([2, 1]), pads: intsValue([2, 0, 1, 2]) };
      n.conv(n.add('Relu', [n.conv(b, [21, 1, 3, 4], strided, true)]), [4, 21, 1, 1]);
    },
    'Transpose FloatConv FloatConv FloatConv Relu FloatConv Transpose',
  ],
  [
    'slices, pads and concatenations of images',
    (n) => {
      const ints = (...values: number[]) => n.constant(tensorFromInt64([values.length], values));
      const a = n.conv('x', [6, 5, 3, 3], same);
      const b = n.add('Slice', [a, ints(0, 0), ints(9, 7), ints(2, 3), ints(2, 2)]);
      const c = n.add('Pad', [b, ints(0, 2, 0, 0, 0, 1, 0, 0)]);
      const d = n.conv(a, [3, 6, 1, 1], { strides: intsValue([2, 2]) });
      n.conv(n.add('Concat', [c, d], { axis: intValue(1) }), [4, 12, 2, 2]);
    },
    'Transpose FloatConv Slice Pad FloatConv Concat FloatConv Transpose',
  ],
  [
    'pools that overlap, with pads, rounded up, and side by side',
    (n) => {
      const kernel = { kernel_shape: intsValue([3, 2]), strides: intsValue([2, 1]), pads: intsValue([1, 0, 1, 1]) };
      const a = n.add('MaxPool', [n.conv('x', [18, 5, 3, 3], same)], { ...kernel, ceil_mode: intValue(1) });
      const b = { kernel_shape: intsValue([2, 2]), strides: intsValue([2, 2]) };
      n.conv(n.add('MaxPool', [n.conv(a, [6, 18, 1, 1])], b), [4, 6, 1, 1]);
    },
    'Transpose FloatConv FloatMaxPool FloatConv FloatMaxPool FloatConv Transpose',
  ],
  [
    'what has no operator of ours',
    (n) => {
      const a = n.conv('x', [6, 5, 3, 3], same);
      const b = n.conv(a, [6, 2, 3, 3], { ...same, group: intValue(3) });
      n.conv(n.add('AveragePool', [b], { kernel_shape: intsValue([2, 2]) }), [4, 6, 1, 1]);
    },
    'Transpose FloatConv Transpose Conv AveragePool Transpose FloatConv Transpose',
  ],
];

for (const [what, make, operators] of NETWORKS)
  test(`gradients by our operators are those of the definition: ${what}`, { skip }, async (t) => {
    const network = new Network();
    make(network);
    const { model, wrt } = network.build();
    assert.equal(operatorsOf(withNativeLayers(model, new Map([['N', 2]]))), operators);
    await checkNetwork(t, { model, input: 'x', shape: SHAPE, wrt, native: true });
  });

/** Rounding has no derivative to compare with: the rules of standard operators say what goes straight through. */
test('quantized activations train as with standard operators', { skip }, async (t) => {
  const network = new Network();
  const one = (value: number) => network.constant(tensorFromFloats([], Float32Array.of(value)));
  const zeroPoint = network.constant(scalarUint8(128));
  const quantized = (x: string) => {
    const scale = network.trained([], 0, 0.02);
    const bounds = [-100, 90].map((code) => network.add('Mul', [scale, one(code)]));
    const codes = network.add('QuantizeLinear', [network.add('Clip', [x, ...bounds]), scale, zeroPoint]);
    return network.add('DequantizeLinear', [codes, scale, zeroPoint]);
  };
  const a = quantized(network.conv('x', [7, 5, 3, 3], same));
  quantized(network.add('Add', [quantized(network.conv(a, [7, 7, 3, 3], same)), a]));
  const { model, wrt } = network.build();
  const symbols = new Map([['N', 2]]);
  assert.equal(
    operatorsOf(withNativeLayers(model, symbols)),
    'Transpose FloatConv Mul Mul FloatQuantize FloatConv Mul Mul FloatQuantize Add Mul Mul FloatQuantize Transpose',
  );
  const checked = { model, input: 'x', shape: SHAPE, wrt };
  const [standard, native] = [
    await networkGradients(t, checked),
    await networkGradients(t, { ...checked, native: true }),
  ];
  // Rounding of sums may move a value to the next code.
  for (const name of wrt) {
    const expected = Float64Array.from(standard.gradients.get(name)!);
    assertNear(native.gradients.get(name)!, expected, 5e-3, `the gradient of ${name}`);
  }
});

test('the network that was given stays as it was', () => {
  const network = new Network();
  network.conv('x', [4, 5, 3, 3]);
  const { model } = network.build();
  const before = [operatorsOf(model), model.graph.initializers.size, [...model.opsetImports].join()];
  withNativeLayers(model, new Map([['N', 2]]));
  assert.deepEqual([operatorsOf(model), model.graph.initializers.size, [...model.opsetImports].join()], before);
});

test('gradients of ResNet-8 by our operators are those of its definition', {
  skip: skip || skipWithout('models/resnet8_cifar10_mlperftiny.onnx'),
}, async (t) => {
  const model = await readModel(sharedData('models', 'resnet8_cifar10_mlperftiny.onnx'));
  const { nodes, initializers } = model.graph;
  const wrt = nodes.flatMap(({ opType, inputs }) =>
    opType === 'Conv' && initializers.has(inputs[1]!) ? [inputs[1]!] : [],
  );
  const some = [wrt[0]!, wrt.at(-1)!];
  await checkNetwork(t, { model, input: model.graph.inputs[0]!.name, shape: [1, 3, 32, 32], wrt: some, native: true });
});
