/** One case or more for each operator of the shape table, so longer than other files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../testing/random.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import type { Attribute } from '../attribute.js';
import { floatValue, intsValue, intValue, stringValue, tensorValue } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import type { Dimension, Model } from '../graph.js';
import type { Tensor } from '../tensor.js';
import {
  scalarFloat,
  scalarInt64,
  tensorFromFloats,
  tensorFromInt8,
  tensorFromInt64,
  tensorFromUint8,
} from '../tensor-builders.js';
import { inferShapes } from './infer-shapes.js';
import { macsOf } from './macs.js';
import { SHAPE_RULES } from './rules.js';

/** Shape inference operator by operator. A table of cases, hence long. */

type Shape = readonly Dimension[] | null;
type Case = readonly [
  what: string,
  op: string,
  inputs: readonly (Shape | Tensor)[],
  attributes: Readonly<Record<string, Attribute>>,
  expected: readonly Shape[],
];

const ints = (...values: number[]) => tensorFromInt64([values.length], values);
const floats = (...values: number[]) => tensorFromFloats([values.length], Float32Array.from(values));
const i = (value: number) => intValue(value);
const is = (...values: number[]) => intsValue(values);

/** Expected shapes follow from the operator definitions of the ONNX standard. */
const CASES: readonly Case[] = [
  [
    'a padded, strided convolution',
    'Conv',
    [
      ['N', 3, 224, 224],
      [64, 3, 7, 7],
    ],
    { pads: is(3, 3, 3, 3), strides: is(2, 2) },
    [['N', 64, 112, 112]],
  ],
  [
    'a dilated convolution',
    'Conv',
    [
      [1, 8, 32],
      [16, 8, 3],
    ],
    { dilations: is(4) },
    [[1, 16, 24]],
  ],
  [
    'a convolution with SAME_UPPER',
    'Conv',
    [
      [1, 8, 33, 'W'],
      [16, 8, 3, 3],
    ],
    { auto_pad: stringValue('SAME_UPPER'), strides: is(2, 2) },
    [[1, 16, 17, null]],
  ],
  [
    'a transposed convolution',
    'ConvTranspose',
    [
      [1, 8, 5, 5],
      [8, 4, 3, 3],
    ],
    { strides: is(2, 2), pads: is(1, 1, 1, 1), output_padding: is(1, 1), group: i(2) },
    [[1, 8, 10, 10]],
  ],
  [
    'a pool that rounds down',
    'MaxPool',
    [[1, 8, 112, 112]],
    { kernel_shape: is(3, 3), strides: is(2, 2) },
    [
      [1, 8, 55, 55],
      [1, 8, 55, 55],
    ],
  ],
  [
    'a pool that rounds up',
    'AveragePool',
    [[1, 8, 112, 112]],
    { kernel_shape: is(3, 3), strides: is(2, 2), ceil_mode: i(1) },
    [[1, 8, 56, 56]],
  ],
  [
    'a pool whose last window would lie in the padding',
    'MaxPool',
    [[1, 1, 4, 4]],
    { kernel_shape: is(1, 1), strides: is(3, 3), pads: is(0, 0, 2, 2), ceil_mode: i(1) },
    [[1, 1, 2, 2]],
  ],
  ['a global pool', 'GlobalAveragePool', [['N', 8, 7, 7]], {}, [['N', 8, 1, 1]]],
  [
    'a transposed Gemm',
    'Gemm',
    [
      [5, 'N'],
      [7, 5],
    ],
    { transA: i(1), transB: i(1) },
    [['N', 7]],
  ],
  [
    'a batched matrix product',
    'MatMul',
    [
      ['B', 1, 4, 5],
      [3, 5, 6],
    ],
    {},
    [['B', 3, 4, 6]],
  ],
  ['a vector times a matrix', 'MatMul', [[5], [2, 5, 6]], {}, [[2, 6]]],
  [
    'broadcasting',
    'Add',
    [
      ['N', 1, 4],
      [3, 1],
    ],
    {},
    [['N', 3, 4]],
  ],
  [
    'broadcasting of an unknown size',
    'Mul',
    [
      [null, 4],
      [1, 1],
    ],
    {},
    [[null, 4]],
  ],
  ['broadcasting with an unknown rank', 'Mul', [null, [1, 1]], {}, [null]],
  ['a reshape with -1 and 0', 'Reshape', [['N', 4, 6], ints(0, -1)], {}, [['N', 24]]],
  ['a reshape that takes zero as zero', 'Reshape', [[0, 4], ints(4, 0)], { allowzero: i(1) }, [[4, 0]]],
  ['a reshape to an unknown shape', 'Reshape', [[2, 4], [3]], {}, [[null, null, null]]],
  ['a reshape in opset 1', 'Reshape', [[2, 4]], { shape: is(-1) }, [[8]]],
  ['flattening', 'Flatten', [['N', 4, 6]], { axis: i(-1) }, [[null, 6]]],
  ['flattening after the batch', 'Flatten', [['N', 4, 6]], {}, [['N', 24]]],
  ['transposing', 'Transpose', [['N', 4, 6]], { perm: is(0, 2, 1) }, [['N', 6, 4]]],
  ['squeezing listed axes', 'Squeeze', [[1, 'N', 1, 4], ints(0, -2)], {}, [['N', 4]]],
  ['squeezing every 1', 'Squeeze', [[1, 3, 1]], {}, [[3]]],
  ['unsqueezing by an input', 'Unsqueeze', [['N', 4], ints(0, -1)], {}, [[1, 'N', 4, 1]]],
  ['unsqueezing by an attribute', 'Unsqueeze', [['N', 4]], { axes: is(1) }, [['N', 1, 4]]],
  ['expanding', 'Expand', [[3, 1], ints(2, 1, 6)], {}, [[2, 3, 6]]],
  ['tiling', 'Tile', [[3, 'N'], ints(2, 1)], {}, [[6, 'N']]],
  ['depth to space', 'DepthToSpace', [['N', 12, 4, 5]], { blocksize: i(2) }, [['N', 3, 8, 10]]],
  ['space to depth', 'SpaceToDepth', [['N', 3, 8, 10]], { blocksize: i(2) }, [['N', 12, 4, 5]]],
  ['gathering a scalar', 'Gather', [[5, 6], scalarInt64(1)], { axis: i(1) }, [[5]]],
  [
    'gathering rows',
    'Gather',
    [
      [5, 6],
      ['N', 2],
    ],
    {},
    [['N', 2, 6]],
  ],
  [
    'gathering slices',
    'GatherND',
    [
      [5, 6, 7],
      [4, 2],
    ],
    {},
    [[4, 7]],
  ],
  [
    'concatenation',
    'Concat',
    [
      ['N', 3],
      ['N', 4],
    ],
    { axis: i(-1) },
    [['N', 7]],
  ],
  [
    'slicing from the end, with a step',
    'Slice',
    [[20, 30], ints(-5, 0), ints(2 ** 40, 30), ints(0, 1), ints(1, 4)],
    {},
    [[5, 8]],
  ],
  ['slicing backwards', 'Slice', [[10], ints(-1), ints(-11), ints(0), ints(-2)], {}, [[5]]],
  ['slicing in opset 1', 'Slice', [[20, 30]], { starts: is(1), ends: is(-1), axes: is(1) }, [[20, 28]]],
  ['padding', 'Pad', [['N', 3, 8], ints(0, 0, 1, 0, 0, 2)], {}, [['N', 3, 11]]],
  [
    'the largest k',
    'TopK',
    [['N', 100], ints(5)],
    {},
    [
      ['N', 5],
      ['N', 5],
    ],
  ],
  ['a reduction over the last axis', 'ReduceMean', [['N', 3, 8]], { axes: is(-1) }, [['N', 3, 1]]],
  ['a reduction that drops axes', 'ReduceSum', [['N', 3, 8], ints(1, 2)], { keepdims: i(0) }, [['N']]],
  ['a reduction over everything', 'ReduceMax', [['N', 3]], { keepdims: i(0) }, [[]]],
  ['the place of the largest', 'ArgMax', [['N', 3]], { axis: i(1), keepdims: i(0) }, [['N']]],
  [
    'a constant of a shape',
    'ConstantOfShape',
    [ints(2, 3)],
    { value: tensorValue(tensorFromUint8([1], Uint8Array.of(7))) },
    [[2, 3]],
  ],
  ['a range', 'Range', [scalarInt64(10), scalarInt64(0), scalarInt64(-3)], {}, [[4]]],
  ['one-hot codes', 'OneHot', [['N'], scalarInt64(10), [2]], {}, [['N', 10]]],
  [
    'layer normalization',
    'LayerNormalization',
    [['N', 3, 8], [8]],
    {},
    [
      ['N', 3, 8],
      ['N', 3, 1],
      ['N', 3, 1],
    ],
  ],
  [
    'a bidirectional LSTM',
    'LSTM',
    [
      ['T', 'N', 8],
      [2, 64, 8],
      [2, 64, 16],
    ],
    { direction: stringValue('bidirectional'), hidden_size: i(16) },
    [
      ['T', 2, 'N', 16],
      [2, 'N', 16],
      [2, 'N', 16],
    ],
  ],
  ['resizing to sizes', 'Resize', [['N', 3, 8, 8], [0], [0], ints(1, 3, 16, 20)], {}, [[1, 3, 16, 20]]],
  ['resizing by scales', 'Resize', [['N', 3, 8, 7], [0], floats(1, 1, 2, 1.5)], {}, [['N', 3, 16, 10]]],
  [
    'resizing some axes by scales',
    'Resize',
    [['N', 3, 8, 8], [0], floats(2, 0.5)],
    { axes: intsValue([-2, -1]) },
    [['N', 3, 16, 4]],
  ],
  [
    'resizing within a frame of unknown sides',
    'Resize',
    [['N', 3, 8, 8], [0], [0], ints(1, 3, 16, 20)],
    { keep_aspect_ratio_policy: stringValue('not_larger') },
    [[null, null, null, null]],
  ],
  ['quantizing', 'DynamicQuantizeLinear', [['N', 3]], {}, [['N', 3], [], []]],
];

function modelOf(op: string, inputs: Case[2], attributes: Case[3], outputs: number): Model {
  const names = inputs.map((_, index) => `in${index}`);
  const given = inputs.map((input, index) => [names[index]!, input] as const);
  const isTensor = (input: Shape | Tensor): input is Tensor => input !== null && 'dtype' in input;
  return tinyModel({
    inputs: given.flatMap(([name, input]) => (isTensor(input) ? [] : [[name, 'float32' as DataType, input] as const])),
    outputs: [],
    nodes: [{ op, inputs: names, outputs: Array.from({ length: outputs }, (_, index) => `out${index}`), attributes }],
    constants: Object.fromEntries(given.flatMap(([name, input]) => (isTensor(input) ? [[name, input]] : []))),
  });
}

for (const [what, op, inputs, attributes, expected] of CASES) {
  test(`${op}: ${what}`, () => {
    const shapes = inferShapes(modelOf(op, inputs, attributes, expected.length));
    assert.deepEqual(
      expected.map((_, index) => shapes.get(`out${index}`)?.shape),
      expected,
    );
  });
}

test('splits follow their sizes, and are even without', () => {
  const shapesOf = (inputs: Case[2], attributes: Case[3]) => {
    const shapes = inferShapes(modelOf('Split', inputs, attributes, 3));
    return [0, 1, 2].map((index) => shapes.get(`out${index}`)?.shape?.[0]);
  };
  assert.deepEqual(shapesOf([[10, 'N'], ints(2, 3, 5)], {}), [2, 3, 5]);
  assert.deepEqual(shapesOf([[9, 'N']], {}), [3, 3, 3]);
  assert.deepEqual(shapesOf([[7, 'N']], { num_outputs: i(3) }), [3, 3, 1]);
});

test('element types follow the operators', () => {
  const dtypeOf = (op: string, inputs: Case[2], attributes: Case[3] = {}) =>
    inferShapes(modelOf(op, inputs, attributes, 1)).get('out0')?.dtype;
  assert.equal(dtypeOf('Relu', [[1]]), 'float32');
  assert.equal(dtypeOf('Equal', [[1], [1]]), 'bool');
  assert.equal(dtypeOf('Cast', [[1]], { to: i(10) }), 'float16');
  assert.equal(dtypeOf('Shape', [[1]]), 'int64');
  assert.equal(dtypeOf('QuantizeLinear', [[1], scalarFloat(1), tensorFromInt8([], new Int8Array(1))]), 'int8');
  assert.equal(dtypeOf('QuantizeLinear', [[1], scalarFloat(1)]), 'uint8');
  assert.equal(dtypeOf('ConvInteger', [[1, 1, 4], tensorFromInt8([1, 1, 2], new Int8Array(2))]), 'int32');
});

test('shapes that are computed from shapes are followed', () => {
  const node = (
    op: string,
    inputs: string[],
    output: string,
    attributes: Record<string, Attribute> = {},
  ): TinyNode => ({
    op,
    inputs,
    outputs: [output],
    attributes,
  });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 8, 6]]],
    outputs: [],
    nodes: [
      node('Shape', ['x'], 'shape'),
      node('Gather', ['shape', 'zero'], 'batch'),
      node('Slice', ['shape', 'one', 'three'], 'tail'),
      node('ReduceProd', ['tail'], 'not_followed'),
      node('Gather', ['shape', 'two'], 'last'),
      node('Mul', ['last', 'two'], 'doubled'),
      node('Div', ['doubled', 'four'], 'third'),
      node('Unsqueeze', ['batch', 'axis'], 'batch1'),
      node('Unsqueeze', ['third', 'axis'], 'third1'),
      node('Concat', ['batch1', 'third1', 'minus'], 'target', { axis: i(0) }),
      node('Reshape', ['x', 'target'], 'y'),
    ],
    constants: {
      zero: scalarInt64(0),
      two: scalarInt64(2),
      four: scalarInt64(4),
      one: ints(1),
      three: ints(3),
      axis: ints(0),
      minus: ints(-1),
    },
  });
  assert.deepEqual(inferShapes(model).get('y')?.shape, ['N', 3, 16]);
  assert.deepEqual(inferShapes(model, { symbols: new Map([['N', 2]]) }).get('y')?.shape, [2, 3, 16]);
});

test('what the file declares fills gaps and does not override what is certain', () => {
  const model = modelOf('Relu', [['N', 4]], {}, 1);
  model.graph.valueInfo.set('out0', { name: 'out0', dtype: 'float32', shape: [2, 5] });
  assert.deepEqual(inferShapes(model).get('out0')?.shape, [2, 4]);
  model.graph.nodes[0]!.opType = 'Unheard';
  assert.deepEqual(inferShapes(model).get('out0')?.shape, [2, 5]);
});

test('branches are inferred, and agree where they agree', () => {
  const branch = (rows: number): Attribute => ({
    kind: 'graph',
    value: tinyModel({
      inputs: [],
      outputs: [['r', 'undefined', null]],
      nodes: [{ op: 'Expand', inputs: ['x', 'to'], outputs: ['r'] }],
      constants: { to: ints(rows, 6) },
    }).graph,
  });
  const thenBranch = branch(2);
  const model = modelOf('If', [[]], { then_branch: thenBranch, else_branch: branch(3) }, 1);
  model.graph.initializers.set('x', tensorFromFloats([1, 6], new Float32Array(6)));
  const shapes = inferShapes(model);
  assert.deepEqual(shapes.get('out0')?.shape, [null, 6]);
  assert.deepEqual(shapes.get('r', thenBranch.kind === 'graph' ? thenBranch.value : undefined)?.shape, [2, 6]);
});

test('calls of functions are inferred with their attributes', () => {
  const model = modelOf('Scale', [['N', 4]], { times: i(3) }, 1);
  model.graph.nodes[0]!.domain = 'local';
  model.functions.push({
    name: 'Scale',
    domain: 'local',
    overload: '',
    inputs: ['a'],
    outputs: ['c'],
    attributes: ['times'],
    opsetImports: new Map([['', 17]]),
    nodes: [
      {
        name: 'n0',
        opType: 'Constant',
        domain: '',
        inputs: [],
        outputs: ['t'],
        attributes: new Map([['value_int', { kind: 'ref', value: 'times', type: 2 }]]),
      },
      {
        name: 'n1',
        opType: 'Unsqueeze',
        domain: '',
        inputs: ['a', 't'],
        outputs: ['b'],
        attributes: new Map([['axes', is(0)]]),
      },
      { name: 'n2', opType: 'TopK', domain: '', inputs: ['b', 't'], outputs: ['c'], attributes: new Map() },
    ],
  });
  assert.deepEqual(inferShapes(model).get('out0')?.shape, [1, 'N', 3]);
});

test('no graph, however senseless, makes inference throw or return impossible sizes', () => {
  const random = seededRandom(7);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const sizes: readonly Dimension[] = [0, 1, 2, 7, 2 ** 40, null, 'N'];
  const numbers = [-(2 ** 62), -3, -1, 0, 1, 2, 5, 2 ** 31, 2 ** 62];
  const list = (length: number) => Array.from({ length }, () => pick(numbers));
  const names = [
    'axes',
    'axis',
    'perm',
    'pads',
    'strides',
    'dilations',
    'kernel_shape',
    'starts',
    'ends',
    'shape',
    'split',
    'group',
    'blocksize',
    'to',
    'dtype',
    'keepdims',
    'hidden_size',
    'output_shape',
    'k',
    'start',
    'end',
    'batch_dims',
    'auto_pad',
    'value_ints',
    'value',
    'scales',
  ];
  const attribute = (): Attribute =>
    pick([
      () => intsValue(list(Math.floor(random() * 5)).map((n) => BigInt(n))),
      () => intValue(BigInt(pick(numbers))),
      () => floatValue(Number.NaN),
      () => stringValue('SAME_UPPER'),
      () =>
        tensorValue(
          tensorFromInt64(
            [2],
            list(2).map((n) => BigInt(n)),
          ),
        ),
    ])();
  for (let round = 0; round < 4000; round++) {
    const op = pick([...SHAPE_RULES.keys()]);
    const inputs = Array.from({ length: Math.floor(random() * 6) }, (): Shape | Tensor => {
      const rank = Math.floor(random() * 5);
      if (random() < 0.1) return null;
      if (random() < 0.4)
        return tensorFromInt64(
          [rank],
          list(rank).map((n) => BigInt(n)),
        );
      return Array.from({ length: rank }, () => pick(sizes));
    });
    const attributes = Object.fromEntries(Array.from({ length: 4 }, () => [pick(names), attribute()]));
    const shapes = inferShapes(modelOf(op, inputs, attributes, 3));
    for (const name of ['out0', 'out1', 'out2']) {
      for (const size of shapes.get(name)?.shape ?? []) {
        assert.ok(
          typeof size !== 'number' || (Number.isSafeInteger(size) && size >= 0),
          `${op} in round ${round}: ${size}`,
        );
      }
    }
  }
});

test('multiply-accumulates count convolutions and matrix products of one sample', () => {
  assert.equal(
    macsOf(
      modelOf(
        'Conv',
        [
          ['N', 4, 8, 8],
          [6, 2, 3, 3],
        ],
        { group: i(2) },
        1,
      ),
    ),
    6 * 6 * 6 * 2 * 9,
  );
  assert.equal(
    macsOf(
      modelOf(
        'ConvTranspose',
        [
          [1, 4, 8, 8],
          [4, 6, 3, 3],
        ],
        {},
        1,
      ),
    ),
    4 * 64 * 6 * 9,
  );
  assert.equal(
    macsOf(
      modelOf(
        'Gemm',
        [
          ['N', 5],
          [7, 5],
        ],
        { transB: i(1) },
        1,
      ),
    ),
    35,
  );
  assert.equal(
    macsOf(
      modelOf(
        'MatMul',
        [
          ['N', 3, 4],
          [4, 5],
        ],
        {},
        1,
      ),
    ),
    60,
  );
  assert.equal(
    macsOf(
      modelOf(
        'MatMul',
        [
          ['N', 'T', 4],
          [4, 5],
        ],
        {},
        1,
      ),
    ),
    null,
  );
  assert.equal(macsOf(modelOf('Relu', [['N', 'T', 4]], {}, 1)), 0);
});
