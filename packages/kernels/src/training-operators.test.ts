import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OrtTensor } from './index.js';
import { type Attribute, model, node, value } from './testing/onnx-writer.js';
import { skipOrt, testOrt } from './testing/test-ort.js';

type Attributes = Readonly<Record<string, Attribute>>;

interface Call {
  readonly operator: string;
  /** Shapes of inputs whose elements count from 1 on. */
  readonly inputs: readonly (readonly number[])[];
  readonly outputs?: number;
  readonly attributes: Attributes;
}

const windows = { strides: [1, 1], pads: [0, 0, 0, 0], group: 1 } as const;
const normalization = { epsilon: { float: 0 }, rectify: 0 } as const;
const pool = { kernel_shape: [2, 2], strides: [1, 1], pads: [0, 0, 0, 0], output_shape: [1, 1] } as const;

type Inputs = Call['inputs'];
const conv = (inputs: Inputs, changed: Attributes = {}): Call => ({
  operator: 'FloatConv',
  inputs,
  attributes: { ...windows, ...changed },
});
const convInputGradient = (inputs: Inputs, inputShape: readonly number[]): Call => ({
  operator: 'FloatConvInputGradient',
  inputs,
  attributes: { ...windows, input_shape: inputShape },
});
const convWeightGradient = (inputs: Inputs, kernelShape: readonly number[]): Call => ({
  operator: 'FloatConvWeightGradient',
  inputs,
  attributes: { ...windows, kernel_shape: kernelShape },
});
const normalizeBatch = (inputs: Inputs, attributes: Attributes = normalization): Call => ({
  operator: 'NormalizeBatch',
  inputs,
  outputs: 4,
  attributes,
});
const quantize = (inputs: Inputs, least = 0): Call => ({
  operator: 'FloatQuantize',
  inputs,
  attributes: { least, most: 3 },
});

/** Runs a node whose inputs have sizes that the model leaves open. */
async function run({ operator, inputs, outputs = 1, attributes }: Call): Promise<number[][]> {
  const given = inputs.map((_, i) => `x${i}`);
  const results = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const open = (name: string, rank: number) => value(name, 'float32', new Array(rank).fill(null));
  const bytes = model({
    nodes: [node(operator, given, results, attributes, 'tritforge')],
    inputs: given.map((name, i) => open(name, inputs[i]!.length)),
    // An output's rank is not known before it is computed.
    outputs: results.map((name) => value(name, 'float32', [])),
  });
  const session = await testOrt().load(bytes);
  try {
    const feeds = inputs.map((shape, i): [string, OrtTensor] => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [`x${i}`, { dtype: 'float32', shape, data: Float32Array.from({ length: count }, (_, at) => at + 1) }];
    });
    const found = await session.run(new Map(feeds));
    return results.map((name) => [...(found.get(name)!.data as Float32Array)]);
  } finally {
    await session.release();
  }
}

describe('operators of training', { skip: skipOrt }, () => {
  it('compute what their formulas say of numbers that can be followed by hand', async () => {
    assert.deepEqual(await run(conv([[1, 1, 2, 2], [1, 2, 1, 1], [1]])), [[1 * 1 + 2 * 2 + 1, 3 * 1 + 4 * 2 + 1]]);
    const [gradient, weights] = [
      [1, 1, 2, 1],
      [1, 1, 1, 2],
    ];
    assert.deepEqual(await run(convInputGradient([gradient, weights], [1, 3])), [[1, 2 + 2, 4]]);
    const row = [1, 1, 3, 1];
    assert.deepEqual(await run(convInputGradient([gradient, weights, row], [1, 3])), [[2, 6, 7]]);
    assert.deepEqual(await run(convWeightGradient([row, gradient], [1, 2])), [[1 + 2 * 2, 2 + 3 * 2]]);
    assert.deepEqual(await run(normalizeBatch([[1, 1, 2, 1], [1], [1]])), [[0, 2], [1.5], [0.25], [2]]);
    // low, high and the scale are 1, of which 2 is beyond.
    assert.deepEqual(await run(quantize([[2], [], [], []])), [[1, 1]]);
    const straight = { operator: 'FloatQuantizeGradient', attributes: { least: 0, most: 3 }, outputs: 4 };
    assert.deepEqual(await run({ ...straight, inputs: [[2], [2], [], [], []] }), [[1, 0], [0], [2], [0]]);
    const largest = { operator: 'FloatMaxPool', attributes: pool };
    assert.deepEqual(await run({ ...largest, inputs: [[1, 2, 2, 1]] }), [[4]]);
  });

  const image = [1, 4, 4, 3];
  const weights = [2, 3, 1, 1];
  const wrong: [string, Call, RegExp][] = [
    ['weights of other channels', conv([image, [2, 4, 1, 1]]), /W must have the shape \[2, 3, 1, 1\]/],
    ['a bias of another length', conv([image, weights, [3]]), /B must have the shape \[2\]/],
    ['kernels larger than the image', conv([image, [2, 3, 5, 1]]), /a kernel of 5 does not fit/],
    ['pads as wide as the kernel', conv([image, weights], { pads: [1, 0, 0, 0] }), /does not fit/],
    [
      'groups of several channels',
      conv([image, [2, 1, 1, 1]], { group: 3 }),
      /group must be 1 or the number of channels/,
    ],
    ['images without pixels', conv([[0, 4, 4, 3], weights]), /sizes that are not 0/],
    ['images of three sizes', conv([[4, 4, 3], weights]), /must have four sizes/],
    ['strides of 0', conv([image, weights], { strides: [0, 1] }), /strides\[0\] must be from 1/],
    [
      'gradients of other outputs',
      convInputGradient([image, [3, 2, 2, 2]], [4, 4]),
      /the gradient of Y must have the shape \[1, 3, 3, 3\]/,
    ],
    [
      'sums of another shape',
      convInputGradient([image, [3, 2, 1, 1], image], [4, 4]),
      /A must have the shape \[1, 4, 4, 2\]/,
    ],
    [
      'weight gradients of other outputs',
      convWeightGradient([image, image], [2, 2]),
      /the gradient of Y must have the shape/,
    ],
    ['scales of other channels', normalizeBatch([image, [2], [3]]), /scale must have the shape \[3\]/],
    [
      'an epsilon below 0',
      normalizeBatch([image, [3], [3]], { ...normalization, epsilon: { float: -1 } }),
      /epsilon must be finite and not negative/,
    ],
    ['an epsilon that is missing', normalizeBatch([image, [3], [3]], { rectify: 0 }), /attribute epsilon/],
    [
      'variances of other channels',
      { operator: 'NormalizeChannels', inputs: [image, [3], [3], [3], [4]], outputs: 2, attributes: normalization },
      /variance must have the shape \[3\]/,
    ],
    [
      'a gradient that is there already',
      {
        operator: 'NormalizeBatchGradient',
        inputs: [image, image, image, [3], [3], [3]],
        outputs: 4,
        attributes: { rectify: 0, given: 0 },
      },
      /without rectify the gradient of A is that of Y/,
    ],
    [
      'outputs of another shape',
      {
        operator: 'NormalizeBatchGradient',
        inputs: [image, image, [1, 4, 4, 2], [3], [3], [3]],
        outputs: 3,
        attributes: { rectify: 1, given: 0 },
      },
      /Y must have the shape \[1, 4, 4, 3\]/,
    ],
    [
      'windows beside the image',
      { operator: 'FloatMaxPool', inputs: [image], attributes: { ...pool, output_shape: [5, 1] } },
      /are beside X/,
    ],
    ['several scales', quantize([image, [], [], [3]]), /scale must be one number, got the shape \[3\]/],
    ['ranges without codes', quantize([image, [], [], []], 3), /least must be below most/],
    [
      'pools with too few inputs',
      { operator: 'FloatMaxPoolGradient', inputs: [image], attributes: pool },
      /input|inputs/,
    ],
  ];
  for (const [what, call, message] of wrong)
    it(`refuse ${what}`, () => assert.rejects(run(call), { name: 'OrtError', message }));
});
