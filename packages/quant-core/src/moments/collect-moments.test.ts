import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementCount, intsValue, intValue, stringValue } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { ALL, assertClose, assertLinear, type Case, collect, naiveMoments, setUp, WIDE } from './testing.js';

interface Sliding {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Zeros in front of and behind each axis. */
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

/** Windows of a convolution by its definition, on an input that really is padded. */
function* convolutionWindows(
  x: HostTensor,
  kernel: readonly number[],
  channels: readonly [number, number],
  s: Sliding,
) {
  const [images, allChannels, ...size] = x.shape as [number, number, ...number[]];
  const data = x.data as Float32Array;
  const at = (image: number, channel: number, where: readonly number[]) => {
    let index = image * allChannels + channel;
    for (const [axis, padded] of where.entries()) {
      const place = padded - s.begins[axis]!;
      if (place < 0 || place >= size[axis]!) return 0;
      index = index * size[axis]! + place;
    }
    return data[index]!;
  };
  const steps = size.map((length, axis) => {
    const room = length + s.begins[axis]! + s.ends[axis]! - (kernel[axis]! - 1) * s.dilations[axis]! - 1;
    return Math.floor(room / s.strides[axis]!) + 1;
  });
  for (let image = 0; image < images; image++) {
    for (const out of indices(steps)) {
      const window: number[] = [];
      for (const tap of indices(kernel)) {
        const where = out.map((o, axis) => o * s.strides[axis]! + tap[axis]! * s.dilations[axis]!);
        for (let c = channels[0]; c < channels[1]; c++) window.push(at(image, c, where));
      }
      yield window;
    }
  }
}

function indices(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (all, size) => all.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i])),
    [[]],
  );
}

/** Outputs [N, C, places] as rows of some channels. */
function outputRows(y: HostTensor, first: number, end: number): number[][] {
  const [images, channels] = y.shape as [number, number];
  const places = elementCount(y.shape.slice(2));
  const data = y.data as Float32Array;
  const row = (image: number, place: number) =>
    Array.from({ length: end - first }, (_, c) => data[(image * channels + first + c) * places + place]!);
  return indices([images, places]).map(([image, place]) => row(image!, place!));
}

const SLIDING: readonly (readonly [string, Case, Sliding])[] = [
  [
    'with strides and asymmetric pads',
    {
      node: { op: 'Conv', attributes: { strides: intsValue([2, 1]), pads: intsValue([1, 0, 2, 1]) } },
      weight: [4, 3, 3, 2],
      x: [
        [1, 3, 6, 5],
        [2, 3, 6, 5],
      ],
    },
    { strides: [2, 1], dilations: [1, 1], begins: [1, 0], ends: [2, 1] },
  ],
  [
    'with dilations and no bias, of images of any size',
    {
      node: { op: 'Conv', attributes: { dilations: intsValue([2, 3]), pads: intsValue([2, 2, 2, 2]) } },
      weight: [3, 2, 3, 3],
      x: [
        [1, 2, 7, 6],
        [1, 2, 5, 9],
      ],
      bias: false,
    },
    { strides: [1, 1], dilations: [2, 3], begins: [2, 2], ends: [2, 2] },
  ],
  [
    'with three groups',
    {
      node: { op: 'Conv', attributes: { group: intValue(3), pads: intsValue([1, 1, 1, 1]) } },
      weight: [6, 2, 3, 3],
      x: [[2, 6, 5, 5]],
    },
    { strides: [1, 1], dilations: [1, 1], begins: [1, 1], ends: [1, 1] },
  ],
  [
    'depthwise',
    { node: { op: 'Conv', attributes: { group: intValue(4) } }, weight: [4, 1, 2, 2], x: [[3, 4, 5, 5]] },
    { strides: [1, 1], dilations: [1, 1], begins: [0, 0], ends: [0, 0] },
  ],
  [
    'with auto_pad SAME_UPPER',
    {
      node: { op: 'Conv', attributes: { auto_pad: stringValue('SAME_UPPER'), strides: intsValue([2, 2]) } },
      weight: [2, 2, 3, 4],
      x: [[2, 2, 6, 7]],
    },
    { strides: [2, 2], dilations: [1, 1], begins: [0, 1], ends: [1, 2] },
  ],
  [
    'with auto_pad SAME_LOWER',
    {
      node: { op: 'Conv', attributes: { auto_pad: stringValue('SAME_LOWER'), strides: intsValue([2, 2]) } },
      weight: [2, 2, 3, 4],
      x: [[2, 2, 6, 7]],
    },
    { strides: [2, 2], dilations: [1, 1], begins: [1, 2], ends: [0, 1] },
  ],
  [
    'with auto_pad VALID',
    {
      node: { op: 'Conv', attributes: { auto_pad: stringValue('VALID') } },
      weight: [2, 2, 2, 2],
      x: [[2, 2, 5, 4]],
    },
    { strides: [1, 1], dilations: [1, 1], begins: [0, 0], ends: [0, 0] },
  ],
  [
    'over one axis',
    {
      node: { op: 'Conv', attributes: { strides: intsValue([2]), pads: intsValue([3, 1]), dilations: intsValue([2]) } },
      weight: [3, 4, 3],
      x: [
        [2, 4, 11],
        [1, 4, 8],
      ],
    },
    { strides: [2], dilations: [2], begins: [3], ends: [1] },
  ],
  [
    'over three axes',
    {
      node: { op: 'Conv', attributes: { strides: intsValue([1, 2, 1]), pads: intsValue([1, 0, 0, 0, 1, 1]) } },
      weight: [2, 2, 2, 2, 3],
      x: [[2, 2, 3, 4, 5]],
    },
    { strides: [1, 2, 1], dilations: [1, 1, 1], begins: [1, 0, 0], ends: [0, 1, 1] },
  ],
];

for (const [title, given, sliding] of SLIDING) {
  test(`moments of a convolution ${title} are those of its definition`, async (t) => {
    const setup = await setUp(t, given);
    const found = await collect(t, setup, ALL);
    const [outputChannels, inputs, ...kernel] = given.weight as [number, number, ...number[]];
    const groups = setup.x[0]!.shape[1]! / inputs;
    const outputs = outputChannels / groups;
    assert.equal(found.length, groups);
    for (const [g, moments] of found.entries()) {
      const channels = [g * inputs, (g + 1) * inputs] as const;
      const windows = setup.x.flatMap((x) => [...convolutionWindows(x, kernel, channels, sliding)]);
      const rows = setup.y.flatMap((y) => outputRows(y, g * outputs, (g + 1) * outputs));
      assertClose(moments, naiveMoments(windows, rows));
      const columns = moments.columns;
      assertLinear(
        moments,
        setup.weights.subarray(g * outputs * columns, (g + 1) * outputs * columns),
        setup.bias?.subarray(g * outputs, (g + 1) * outputs) ?? null,
      );
    }
  });
}

/** Rows [.., K] of a matrix or a batch of them. */
function lastAxis({ shape, data }: HostTensor): number[][] {
  const width = shape.at(-1)!;
  const values = Array.from(data as Float32Array);
  return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
}

/** Columns [.., K, columns] of a matrix or a batch of them. */
function beforeLastAxis({ shape, data }: HostTensor): number[][] {
  const [height, width] = shape.slice(-2) as [number, number];
  const values = data as Float32Array;
  return indices([values.length / (height * width), width]).map(([batch, column]) =>
    Array.from({ length: height }, (_, row) => values[(batch! * height + row) * width + column!]!),
  );
}

type RowsOf = (tensor: HostTensor) => number[][];

const LINEAR: readonly (readonly [string, Case, RowsOf, RowsOf])[] = [
  [
    'a Gemm',
    {
      node: { op: 'Gemm' },
      weight: [5, 3],
      x: [
        [7, 5],
        [4, 5],
      ],
    },
    lastAxis,
    lastAxis,
  ],
  [
    'a Gemm with both operands transposed',
    { node: { op: 'Gemm', attributes: { transA: intValue(1), transB: intValue(1) } }, weight: [3, 5], x: [[5, 9]] },
    beforeLastAxis,
    lastAxis,
  ],
  ['a MatMul', { node: { op: 'MatMul' }, weight: [5, 3], x: [[9, 5]] }, lastAxis, lastAxis],
  [
    'a MatMul of batches',
    {
      node: { op: 'MatMul' },
      weight: [5, 3],
      x: [
        [2, 3, 4, 5],
        [1, 1, 2, 5],
      ],
    },
    lastAxis,
    lastAxis,
  ],
  [
    'a MatMul of vectors',
    { node: { op: 'MatMul' }, weight: [4, 2], x: Array.from({ length: 9 }, () => [4]) },
    lastAxis,
    lastAxis,
  ],
  [
    'a MatMul with the weight on the left',
    {
      node: { op: 'MatMul' },
      weight: [3, 5],
      x: [
        [5, 4],
        [5, 7],
      ],
      weightLeft: true,
    },
    beforeLastAxis,
    beforeLastAxis,
  ],
  [
    'a MatMul of batches with the weight on the left',
    { node: { op: 'MatMul' }, weight: [3, 5], x: [[2, 2, 5, 4]], weightLeft: true },
    beforeLastAxis,
    beforeLastAxis,
  ],
  [
    'a MatMul of vectors with the weight on the left',
    { node: { op: 'MatMul' }, weight: [2, 4], x: Array.from({ length: 9 }, () => [4]), weightLeft: true },
    lastAxis,
    lastAxis,
  ],
];

for (const [title, given, windowsOf, outputsOf] of LINEAR) {
  test(`moments of ${title} are those of its definition`, async (t) => {
    const setup = await setUp(t, given);
    const [moments] = await collect(t, setup, ALL);
    assertClose(moments!, naiveMoments(setup.x.flatMap(windowsOf), setup.y.flatMap(outputsOf)));
    assertLinear(moments!, setup.weights, setup.bias);
  });
}

test('blocks of columns and chunks of rows add up', async (t) => {
  const setup = await setUp(t, WIDE);
  const [moments] = await collect(t, setup, ALL);
  const { columns, second, cross, mean, rows } = moments!;
  assert.deepEqual([columns, rows], [520, 2700]);
  const x = setup.x.flatMap(lastAxis);
  const y = setup.y.flatMap(lastAxis);
  for (const [i, j] of [
    [0, 0],
    [511, 512],
    [512, 511],
    [519, 519],
    [3, 515],
    [517, 2],
  ] as const) {
    const exact = x.reduce((sum, row) => sum + (row[i]! - mean[i]!) * (row[j]! - mean[j]!), 0) / rows;
    assert.ok(Math.abs(second[i * columns + j]! - exact) < 1e-5, `second ${i}, ${j}`);
  }
  const outputMean = moments!.outputMean;
  for (const [i, oc] of [
    [0, 0],
    [511, 39],
    [512, 0],
    [519, 39],
  ] as const) {
    const exact = x.reduce((sum, row, r) => sum + (row[i]! - mean[i]!) * (y[r]![oc]! - outputMean[oc]!), 0) / rows;
    assert.ok(Math.abs(cross[i * 40 + oc]! - exact) < 1e-3, `cross ${i}, ${oc}`);
  }
});
