import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import {
  type Attribute,
  intsValue,
  intValue,
  type Model,
  stringValue,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { writeModel } from '../../onnx/index.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

type Given = Readonly<Record<string, number | number[] | string>>;
type Form = readonly [what: string, x: number[], attributes: Given, opset?: number];

const POOLS: readonly Form[] = [
  ['windows side by side', [2, 3, 6, 4], { kernel_shape: [2, 2], strides: [2, 2] }],
  ['windows side by side that leave inputs out', [2, 3, 7, 5], { kernel_shape: [3, 2], strides: [3, 2] }],
  ['windows side by side, rounded up', [2, 3, 7, 5], { kernel_shape: [3, 2], strides: [3, 2], ceil_mode: 1 }],
  ['windows side by side over padding', [2, 3, 7, 5], { kernel_shape: [3, 2], strides: [3, 2], pads: [1, 1, 1, 0] }],
  ['windows with gaps', [2, 3, 8, 7], { kernel_shape: [2, 1], strides: [3, 2] }],
  ['windows that overlap', [2, 3, 7, 9], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['windows that overlap along one axis', [2, 3, 7, 6], { kernel_shape: [3, 2], strides: [2, 2], pads: [0, 1, 1, 0] }],
  [
    'windows that overlap, rounded up',
    [2, 2, 8, 6],
    { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
  ],
  [
    'windows that overlap, rounded up without padding',
    [2, 2, 6, 9],
    { kernel_shape: [3, 4], strides: [2, 3], ceil_mode: 1 },
  ],
  ['strides of one', [2, 3, 5, 6], { kernel_shape: [3, 2] }],
  ['strides of one over uneven padding', [2, 3, 5, 6], { kernel_shape: [3, 4], pads: [1, 2, 0, 3] }],
  ['SAME_UPPER', [2, 3, 6, 7], { kernel_shape: [3, 4], strides: [2, 2], auto_pad: 'SAME_UPPER' }],
  ['SAME_LOWER', [2, 3, 6, 7], { kernel_shape: [3, 4], strides: [2, 2], auto_pad: 'SAME_LOWER' }],
  ['SAME_UPPER with strides of one', [2, 2, 4, 5], { kernel_shape: [2, 3], auto_pad: 'SAME_UPPER' }],
  ['VALID', [2, 2, 6, 7], { kernel_shape: [3, 3], strides: [1, 2], auto_pad: 'VALID' }],
  ['one axis', [2, 3, 9], { kernel_shape: [3], strides: [2], pads: [1, 0] }],
  ['one axis, side by side', [2, 3, 9], { kernel_shape: [2], strides: [2] }],
  ['three axes', [2, 2, 4, 5, 3], { kernel_shape: [2, 3, 2], strides: [1, 2, 2], pads: [0, 1, 0, 0, 1, 1] }],
  ['three axes, side by side', [2, 2, 4, 6, 3], { kernel_shape: [2, 3, 2], strides: [2, 3, 2] }],
];
const DILATED: readonly Form[] = [
  ['dilations', [2, 3, 7, 9], { kernel_shape: [3, 2], dilations: [2, 3], pads: [1, 0, 2, 1] }, 19],
  [
    'dilations and strides',
    [2, 3, 7, 9],
    { kernel_shape: [2, 3], dilations: [2, 2], strides: [2, 3], ceil_mode: 1 },
    19,
  ],
];

for (const [what, x, attributes, opset] of [...POOLS, ...DILATED]) {
  test(`MaxPool has the derivatives of its definition: ${what}`, async (t) => {
    await checkGradient(t, {
      node: { op: 'MaxPool', attributes: attributesOf(attributes) },
      inputs: [x],
      ...at(opset),
    });
  });
  for (const count_include_pad of [0, 1]) {
    test(`AveragePool ${count_include_pad ? 'over' : 'without'} padding has the derivatives of its definition: ${what}`, async (t) => {
      const node = { op: 'AveragePool', attributes: attributesOf({ ...attributes, count_include_pad }) };
      await checkGradient(t, { node, inputs: [x], ...at(opset) });
    });
  }
}

for (const op of ['GlobalAveragePool', 'GlobalMaxPool'])
  test(`${op} has the derivatives of its definition`, async (t) => {
    for (const shape of [
      [2, 3, 5, 4],
      [2, 3, 7],
      [2, 3, 2, 3, 2],
    ])
      await checkGradient(t, { node: { op }, inputs: [shape] });
  });

const COORDINATES = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];
for (const coordinate_transformation_mode of COORDINATES) {
  for (const nearest_mode of ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil']) {
    test(`Resize repeats inputs: ${coordinate_transformation_mode}, ${nearest_mode}`, async (t) => {
      const attributes = attributesOf({ mode: 'nearest', coordinate_transformation_mode, nearest_mode });
      for (const factors of [
        [1, 1, 3, 2],
        [1, 1, 1, 5],
      ])
        await checkGradient(t, {
          node: { op: 'Resize', attributes },
          inputs: [[2, 2, 3, 2]],
          constants: [null, floats(factors)],
        });
    });
  }
  test(`Resize interpolates linearly: ${coordinate_transformation_mode}`, async (t) => {
    const attributes = attributesOf({ mode: 'linear', coordinate_transformation_mode });
    for (const factors of [
      [1, 1, 2, 3],
      [1, 1, 0.5, 1.75],
      [1, 1, 0.25, 2],
    ])
      await checkGradient(t, {
        node: { op: 'Resize', attributes },
        inputs: [[2, 2, 4, 3]],
        constants: [null, floats(factors)],
      });
  });
}

test('Resize goes by sizes as well as by scales, along any axes, up and down', async (t) => {
  const node = {
    op: 'Resize',
    attributes: attributesOf({ mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  };
  for (const [shape, sizes] of [
    [
      [2, 3, 3, 4],
      [2, 3, 6, 12],
    ],
    [
      [2, 3, 6, 5],
      [2, 3, 3, 7],
    ],
    [
      [2, 3, 4],
      [2, 3, 8],
    ],
    [
      [2, 3, 2, 3, 2],
      [2, 3, 4, 3, 6],
    ],
    [
      [2, 3],
      [4, 9],
    ],
    [
      [2, 3, 4],
      [2, 3, 4],
    ],
  ] as const)
    await checkGradient(t, {
      node,
      inputs: [shape],
      constants: [null, null, tensorFromInt64([sizes.length], sizes)],
    });
});

test('Resize goes by the axes that are named', async (t) => {
  const attributes = attributesOf({
    mode: 'linear',
    axes: [3, 2],
    coordinate_transformation_mode: 'half_pixel_symmetric',
  });
  await checkGradient(t, {
    node: { op: 'Resize', attributes },
    inputs: [[2, 3, 3, 4]],
    constants: [null, floats([2, 2.4])],
    opset: 19,
  });
});

for (const opset of [13, 21])
  test(`pools of opset ${opset} have gradients of its operators`, async (t) => {
    for (const op of ['MaxPool', 'AveragePool'])
      await checkGradient(t, {
        node: { op, attributes: attributesOf({ kernel_shape: [2, 2], strides: [2, 2] }) },
        inputs: [[2, 3, 5, 4]],
        opset,
      });
    const overlapping = attributesOf({ kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
    for (const op of opset < 16 ? ['AveragePool'] : ['MaxPool', 'AveragePool'])
      await checkGradient(t, { node: { op, attributes: overlapping }, inputs: [[2, 3, 5, 6]], opset });
  });

test('of equal maxima the first has the whole gradient, wherever windows lie', async (t) => {
  const whole = attributesOf({ kernel_shape: [2, 2] });
  const apart = [{ op: 'MaxPool', inputs: ['x'], outputs: ['loss'], attributes: whole }];
  assert.deepEqual(await gradientAtZero(t, apart, 2), [1, 0, 0, 0]);
  const overlapping = [
    { op: 'MaxPool', inputs: ['x'], outputs: ['y'], attributes: whole },
    { op: 'GlobalAveragePool', inputs: ['y'], outputs: ['loss'] },
  ];
  const quarter = 1 / 4;
  assert.deepEqual(await gradientAtZero(t, overlapping, 3), [quarter, quarter, 0, quarter, quarter, 0, 0, 0, 0]);
});

test('Resize that repeats inputs equally often is differentiated by one pool, without products of matrices', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', [1, 1, 2, 2]]],
    outputs: [['loss', 'float32', [1, 1, 1, 1]]],
    nodes: [
      { op: 'Resize', inputs: ['x', '', '', 'sizes'], outputs: ['y'], attributes: attributesOf({ mode: 'nearest' }) },
      { op: 'GlobalAveragePool', inputs: ['y'], outputs: ['loss'] },
    ],
    constants: { sizes: tensorFromInt64([4], [1, 1, 4, 6]) },
  });
  const { model: both } = await differentiate(model, { loss: 'loss', wrt: ['x'] });
  const used = both.graph.nodes.map(({ opType }) => opType);
  assert.ok(used.includes('AveragePool') && !used.includes('MatMul'), `${used}`);
});

test('MaxPool whose places are asked for already is not run again', async () => {
  const model = pooled(
    [{ op: 'MaxPool', inputs: ['x'], outputs: ['loss', 'places'], attributes: attributesOf({ kernel_shape: [2, 2] }) }],
    2,
  );
  const { model: both } = await differentiate(model, { loss: 'loss', wrt: ['x'] });
  assert.equal(both.graph.nodes.filter(({ opType }) => opType === 'MaxPool').length, 1);
});

for (const [what, op, attributes, reason, opset] of [
  [
    'SAME over gaps',
    'MaxPool',
    { kernel_shape: [1, 1], strides: [8, 8], auto_pad: 'SAME_UPPER' },
    /SAME with strides \[8,8\]/,
  ],
  [
    'overlap before ScatterElements adds',
    'MaxPool',
    { kernel_shape: [8, 8], pads: [1, 1, 0, 0], strides: [8, 1] },
    /opset 16/,
    15,
  ],
  ['cubic interpolation', 'Resize', { mode: 'cubic' }, /mode = cubic/],
  ['crops', 'Resize', { coordinate_transformation_mode: 'tf_crop_and_resize' }, /tf_crop_and_resize/],
  ['smoothing', 'Resize', { mode: 'linear', antialias: 1 }, /antialias = 1/, 18],
  ['kept aspect ratios', 'Resize', { keep_aspect_ratio_policy: 'not_larger' }, /not_larger/, 18],
] as readonly (readonly [string, string, Given, RegExp, number?])[])
  test(`${op} says that it has no gradient for ${what}`, async (t) => {
    const given = {
      node: { op, attributes: attributesOf(attributes) },
      inputs: [[1, 1, 8, 8]],
      ...(op === 'Resize' && { constants: [null, floats([1, 1, 2, 2])] }),
      ...at(opset),
    };
    const refusal = (error: unknown) => error instanceof TritforgeError && reason.test(error.message);
    await assert.rejects(checkGradient(t, given), refusal);
  });

function pooled(nodes: Parameters<typeof tinyModel>[0]['nodes'], size: number): Model {
  return tinyModel({
    inputs: [['x', 'float32', [1, 1, size, size]]],
    outputs: [['loss', 'float32', [1, 1, 1, 1]]],
    nodes,
  });
}

async function gradientAtZero(
  t: TestContext,
  nodes: Parameters<typeof tinyModel>[0]['nodes'],
  size: number,
): Promise<number[]> {
  const { model, gradients } = await differentiate(pooled(nodes, size), { loss: 'loss', wrt: ['x'] });
  const name = gradients.get('x')!;
  const path = join(temporaryFolder(t), 'backward.onnx');
  await writeModel({ ...model, graph: { ...model.graph, outputs: [{ name, dtype: 'float32', shape: null }] } }, path);
  const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'all' });
  try {
    const x = { dtype: 'float32', shape: [1, 1, size, size], data: new Float32Array(size * size) } as const;
    const results = await session.run(new Map([['x', x]]));
    return [...(results.get(name)!.data as Float32Array)];
  } finally {
    await session.release();
  }
}

function floats(values: readonly number[]): Tensor {
  return tensorFromFloats([values.length], Float32Array.from(values));
}

function at(opset: number | undefined): { opset?: number } {
  return opset === undefined ? {} : { opset };
}

function attributesOf(given: Given): Record<string, Attribute> {
  const attribute = (value: number | number[] | string): Attribute => {
    if (typeof value === 'number') return intValue(value);
    return typeof value === 'string' ? stringValue(value) : intsValue(value);
  };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, attribute(value)]));
}
