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
    const conv = { operator: 'FloatConv', attributes: windows };
    assert.deepEqual(await run({ ...conv, inputs: [[1, 1, 2, 2], [1, 2, 1, 1], [1]] }), [
      [1 * 1 + 2 * 2 + 1, 3 * 1 + 4 * 2 + 1],
    ]);
    const back = { operator: 'FloatConvInputGradient', attributes: { ...windows, input_shape: [1, 3] } };
    assert.deepEqual(
      await run({
        ...back,
        inputs: [
          [1, 1, 2, 1],
          [1, 1, 1, 2],
        ],
      }),
      [[1, 2 + 2, 4]],
    );
    assert.deepEqual(
      await run({
        ...back,
        inputs: [
          [1, 1, 2, 1],
          [1, 1, 1, 2],
          [1, 1, 3, 1],
        ],
      }),
      [[2, 6, 7]],
    );
    const weights = { operator: 'FloatConvWeightGradient', attributes: { ...windows, kernel_shape: [1, 2] } };
    assert.deepEqual(
      await run({
        ...weights,
        inputs: [
          [1, 1, 3, 1],
          [1, 1, 2, 1],
        ],
      }),
      [[1 + 2 * 2, 2 + 3 * 2]],
    );
    const normalize = { operator: 'NormalizeBatch', attributes: normalization, outputs: 4 };
    assert.deepEqual(await run({ ...normalize, inputs: [[1, 1, 2, 1], [1], [1]] }), [[0, 2], [1.5], [0.25], [2]]);
    const quantize = { operator: 'FloatQuantize', attributes: { least: 0, most: 3 } };
    // low, high and the scale are 1, of which 2 is beyond.
    assert.deepEqual(await run({ ...quantize, inputs: [[2], [], [], []] }), [[1, 1]]);
    const straight = { operator: 'FloatQuantizeGradient', attributes: { least: 0, most: 3 }, outputs: 4 };
    assert.deepEqual(await run({ ...straight, inputs: [[2], [2], [], [], []] }), [[1, 0], [0], [2], [0]]);
    const largest = { operator: 'FloatMaxPool', attributes: pool };
    assert.deepEqual(await run({ ...largest, inputs: [[1, 2, 2, 1]] }), [[4]]);
  });

  const image = [1, 4, 4, 3];
  const wrong: [string, Call, RegExp][] = [
    [
      'weights of other channels',
      { operator: 'FloatConv', inputs: [image, [2, 4, 1, 1]], attributes: windows },
      /W must have the shape \[2, 3, 1, 1\]/,
    ],
    [
      'a bias of another length',
      { operator: 'FloatConv', inputs: [image, [2, 3, 1, 1], [3]], attributes: windows },
      /B must have the shape \[2\]/,
    ],
    [
      'kernels larger than the image',
      { operator: 'FloatConv', inputs: [image, [2, 3, 5, 1]], attributes: windows },
      /a kernel of 5 does not fit/,
    ],
    [
      'pads as wide as the kernel',
      { operator: 'FloatConv', inputs: [image, [2, 3, 1, 1]], attributes: { ...windows, pads: [1, 0, 0, 0] } },
      /does not fit/,
    ],
    [
      'groups of several channels',
      { operator: 'FloatConv', inputs: [image, [2, 1, 1, 1]], attributes: { ...windows, group: 3 } },
      /group must be 1 or the number of channels/,
    ],
    [
      'images without pixels',
      {
        operator: 'FloatConv',
        inputs: [
          [0, 4, 4, 3],
          [2, 3, 1, 1],
        ],
        attributes: windows,
      },
      /sizes that are not 0/,
    ],
    [
      'images of three sizes',
      {
        operator: 'FloatConv',
        inputs: [
          [4, 4, 3],
          [2, 3, 1, 1],
        ],
        attributes: windows,
      },
      /must have four sizes/,
    ],
    [
      'strides of 0',
      { operator: 'FloatConv', inputs: [image, [2, 3, 1, 1]], attributes: { ...windows, strides: [0, 1] } },
      /strides\[0\] must be from 1/,
    ],
    [
      'gradients of other outputs',
      {
        operator: 'FloatConvInputGradient',
        inputs: [image, [3, 2, 2, 2]],
        attributes: { ...windows, input_shape: [4, 4] },
      },
      /the gradient of Y must have the shape \[1, 3, 3, 3\]/,
    ],
    [
      'sums of another shape',
      {
        operator: 'FloatConvInputGradient',
        inputs: [image, [3, 2, 1, 1], image],
        attributes: { ...windows, input_shape: [4, 4] },
      },
      /A must have the shape \[1, 4, 4, 2\]/,
    ],
    [
      'weight gradients of other outputs',
      { operator: 'FloatConvWeightGradient', inputs: [image, image], attributes: { ...windows, kernel_shape: [2, 2] } },
      /the gradient of Y must have the shape/,
    ],
    [
      'scales of other channels',
      { operator: 'NormalizeBatch', inputs: [image, [2], [3]], outputs: 4, attributes: normalization },
      /scale must have the shape \[3\]/,
    ],
    [
      'an epsilon below 0',
      {
        operator: 'NormalizeBatch',
        inputs: [image, [3], [3]],
        outputs: 4,
        attributes: { ...normalization, epsilon: { float: -1 } },
      },
      /epsilon must be finite and not negative/,
    ],
    [
      'an epsilon that is missing',
      { operator: 'NormalizeBatch', inputs: [image, [3], [3]], outputs: 4, attributes: { rectify: 0 } },
      /attribute epsilon/,
    ],
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
    [
      'several scales',
      { operator: 'FloatQuantize', inputs: [image, [], [], [3]], attributes: { least: 0, most: 3 } },
      /scale must be one number, got the shape \[3\]/,
    ],
    [
      'ranges without codes',
      { operator: 'FloatQuantize', inputs: [image, [], [], []], attributes: { least: 3, most: 3 } },
      /least must be below most/,
    ],
    [
      'pools with too few inputs',
      { operator: 'FloatMaxPoolGradient', inputs: [image], attributes: pool },
      /input|inputs/,
    ],
  ];
  for (const [what, call, message] of wrong)
    it(`refuse ${what}`, () => assert.rejects(run(call), { name: 'OrtError', message }));
});
