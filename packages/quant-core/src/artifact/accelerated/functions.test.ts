/** The definitions against arithmetic that is written out here, value by value, in float32 where kernels use it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pack2, ternarize, toInt8Weights, type WeightLayout } from '../../fgq/index.js';
import {
  type Attribute,
  elementCount,
  intsValue,
  intValue,
  readFloats,
  scalarFloat,
  scalarUint8,
  type Tensor,
  tensorFromFloats,
  tensorFromInt8,
  tensorFromInt32,
  tensorFromUint8,
} from '../../ir/index.js';
import { validateModel, writeModel } from '../../onnx/index.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import { seededRandom } from '../../testing/random.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { functionNamed, TRITFORGE_DOMAIN, TRITFORGE_VERSION } from './functions.js';

const OPSET = 17;
const runtime = createOnnxRuntime();
const f32 = Math.fround;

interface Image {
  readonly shape: readonly number[];
  readonly codes: Uint8Array;
  readonly scale: number;
  readonly zeroPoint: number;
}

function randomImage(shape: readonly number[], seed: number, scale: number, zeroPoint: number, maxCode = 255): Image {
  const random = seededRandom(seed);
  const codes = Uint8Array.from({ length: elementCount(shape) }, () => Math.floor(random() * (maxCode + 1)));
  return { shape, codes, scale: f32(scale), zeroPoint };
}

/** A weight in both forms, with a bias. */
interface Weight {
  /** [OC, ICg, kH, kW] or [N, K] */
  readonly shape: readonly number[];
  readonly groupSize: number;
  readonly packed: Tensor;
  readonly groupCodes: Tensor;
  readonly int8: Int8Array;
  readonly scales: Float32Array;
  readonly bias: Int32Array;
}

async function randomWeight(shape: readonly number[], groupSize: number, seed: number): Promise<Weight> {
  const [outputChannels, inputChannels, ...kernel] = shape as [number, number, ...number[]];
  const layout: WeightLayout = { outputChannels, inputChannels, taps: elementCount(kernel) };
  const ternary = ternarize(await readFloats(randomTensor(shape, seed)), layout, groupSize);
  const bytes = pack2(ternary.codes);
  const groups = Math.ceil(inputChannels / groupSize);
  const random = seededRandom(seed);
  return {
    shape,
    groupSize,
    packed: tensorFromUint8([bytes.length], bytes),
    groupCodes: tensorFromInt8([outputChannels, groups, ...kernel], Int8Array.from(ternary.groupCodes)),
    int8: toInt8Weights(ternary),
    scales: ternary.channelScales,
    bias: Int32Array.from({ length: outputChannels }, () => Math.round(4000 * (random() - 0.5))),
  };
}

interface Call {
  readonly operator: string;
  readonly image: Image;
  readonly constants: readonly (readonly [string, Tensor])[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly outputDtype?: 'float32' | 'uint8';
  readonly residual?: Image;
}

/** Runs one operator through its definition, as written and as onnxruntime rewrites it. */
async function runBoth(
  t: TestContext,
  call: Call,
): Promise<readonly [written: ArrayLike<number>, fused: ArrayLike<number>]> {
  const { operator, image, constants, attributes, residual } = call;
  const dtype = call.outputDtype ?? 'uint8';
  const model = tinyModel({
    inputs: [
      ['X', 'uint8', image.shape.map(() => null)],
      ...(residual ? [['R', 'uint8', residual.shape.map(() => null)] as const] : []),
    ],
    outputs: [['Y', dtype, null]],
    nodes: [{ op: operator, inputs: ['X', ...constants.map(([name]) => name)], outputs: ['Y'], attributes }],
    constants: Object.fromEntries(constants.filter(([name]) => name !== 'R')),
    opset: OPSET,
  });
  model.graph.nodes[0]!.domain = TRITFORGE_DOMAIN;
  model.opsetImports.set(TRITFORGE_DOMAIN, TRITFORGE_VERSION);
  model.functions.push(functionNamed(operator, OPSET));
  await validateModel(model);
  const path = join(temporaryFolder(t), 'call.onnx');
  await writeModel(model, path);
  const results: ArrayLike<number>[] = [];
  for (const optimization of ['none', 'all'] as const) {
    const session = await runtime.load(path, { threads: 1, optimization });
    const feeds = new Map([['X', { dtype: 'uint8' as const, shape: image.shape, data: image.codes }]]);
    if (residual) feeds.set('R', { dtype: 'uint8', shape: residual.shape, data: residual.codes });
    results.push((await session.run(feeds)).get('Y')!.data as Uint8Array);
    await session.release();
  }
  return [results[0]!, results[1]!];
}

const quantization = (prefix: string, { scale, zeroPoint }: Pick<Image, 'scale' | 'zeroPoint'>) =>
  [
    [`${prefix}_scale`, scalarFloat(scale)],
    [`${prefix}_zero_point`, scalarUint8(zeroPoint)],
  ] as const;

const weightConstants = (kind: 'Ternary' | 'Int8', weight: Weight): readonly (readonly [string, Tensor])[] => [
  ['W', kind === 'Ternary' ? weight.packed : tensorFromInt8(weight.shape, weight.int8)],
  ['w_scale', tensorFromFloats([weight.scales.length], weight.scales)],
];
const biasConstant = ({ bias }: Weight) => ['B', tensorFromInt32([bias.length], bias)] as const;
const groupConstants = (kind: 'Ternary' | 'Int8', weight: Weight) =>
  kind === 'Ternary' ? [['group_codes', weight.groupCodes] as const] : [];

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest === 0.5 ? floor + (floor % 2) : Math.round(value);
}

const clamp = (code: number, maxCode: number) => Math.min(Math.max(code, 0), maxCode);

/** y = round(acc · (x_scale · w_scale / y_scale)) + y_zero_point */
function requantize(acc: number, xScale: number, wScale: number, y: Pick<Image, 'scale' | 'zeroPoint'>): number {
  const multiplier = f32(f32(xScale * wScale) / y.scale);
  return clamp(roundHalfEven(f32(f32(acc) * multiplier)) + y.zeroPoint, 255);
}

interface Geometry {
  readonly strides: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

/** [B, H, W, C] → [B, OH, OW, OC], the sums first. */
function convolve(x: Image, weight: Weight, geometry: Geometry): { shape: readonly number[]; sums: Int32Array } {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [outputs, perGroup, kernelHeight, kernelWidth] = weight.shape as [number, number, number, number];
  const { strides, pads, dilations, group } = geometry;
  const outputSize = (size: number, axis: 0 | 1, kernel: number) =>
    Math.floor((size + pads[axis]! + pads[axis + 2]! - (kernel - 1) * dilations[axis]! - 1) / strides[axis]!) + 1;
  const [outputHeight, outputWidth] = [outputSize(height, 0, kernelHeight), outputSize(width, 1, kernelWidth)];
  const sums = new Int32Array(batch * outputHeight * outputWidth * outputs);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let oh = 0; oh < outputHeight; oh++)
      for (let ow = 0; ow < outputWidth; ow++)
        for (let oc = 0; oc < outputs; oc++) {
          let sum = weight.bias[oc]!;
          for (let kh = 0; kh < kernelHeight; kh++)
            for (let kw = 0; kw < kernelWidth; kw++) {
              const h = oh * strides[0] + kh * dilations[0] - pads[0];
              const w = ow * strides[1] + kw * dilations[1] - pads[1];
              if (h < 0 || w < 0 || h >= height || w >= width) continue;
              for (let ic = 0; ic < perGroup; ic++) {
                const c = Math.floor(oc / (outputs / group)) * perGroup + ic;
                const code = x.codes[((b * height + h) * width + w) * channels + c]!;
                const tap = ((oc * perGroup + ic) * kernelHeight + kh) * kernelWidth + kw;
                sum += (code - x.zeroPoint) * weight.int8[tap]!;
              }
            }
          sums[at++] = sum;
        }
  return { shape: [batch, outputHeight, outputWidth, outputs], sums };
}

/** Shapes around every boundary: N divides IC or not, IC below N, numbers of codes that no byte ends with. */
const CONVOLUTIONS: readonly (readonly [
  image: readonly number[],
  weight: readonly number[],
  groupSize: number,
  Partial<Geometry>,
])[] = [
  [[2, 5, 6, 8], [4, 8, 3, 3], 4, { pads: [1, 1, 1, 1] }],
  [[1, 7, 5, 7], [5, 7, 3, 3], 4, { strides: [2, 1], pads: [0, 1, 2, 0] }],
  [[1, 4, 4, 3], [1, 3, 2, 1], 64, {}],
  [[1, 9, 8, 6], [4, 3, 3, 2], 8, { dilations: [2, 3], group: 2 }],
  [[1, 4, 5, 9], [9, 1, 3, 3], 16, { group: 9, pads: [1, 1, 1, 1] }],
  [[3, 1, 1, 70], [3, 70, 1, 1], 32, {}],
];
const Y = { scale: f32(0.21), zeroPoint: 97 };
const Z = { scale: f32(0.37), zeroPoint: 0 };

for (const kind of ['Ternary', 'Int8'] as const) {
  for (const variant of ['', 'Clip', 'Add', 'AddClip'] as const) {
    test(`${kind}Conv${variant} is defined as its formula`, async (t) => {
      for (const [i, [shape, weightShape, groupSize, partial]] of CONVOLUTIONS.entries()) {
        const geometry: Geometry = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, ...partial };
        const x = randomImage(shape, i, 0.031, 11);
        const weight = await randomWeight(weightShape, groupSize, i);
        const { shape: outputShape, sums } = convolve(x, weight, geometry);
        const residual = variant.startsWith('Add') ? randomImage(outputShape, 50 + i, 0.11, 128) : undefined;
        const maxCode = variant.endsWith('Clip') ? 15 : 255;
        const expected = Array.from(sums, (sum, at) => {
          const y = requantize(sum, x.scale, weight.scales[at % weight.scales.length]!, Y);
          if (residual === undefined) return clamp(y, maxCode);
          const left = f32(f32(y - Y.zeroPoint) * Y.scale);
          const right = f32(f32(residual.codes[at]! - residual.zeroPoint) * residual.scale);
          return clamp(roundHalfEven(f32(f32(left + right) / Z.scale)) + Z.zeroPoint, maxCode);
        });
        const constants = [
          ...quantization('x', x),
          ...weightConstants(kind, weight),
          ...quantization('y', Y),
          biasConstant(weight),
          ...groupConstants(kind, weight),
          ...(residual
            ? [['R', scalarUint8(0)] as const, ...quantization('r', residual), ...quantization('z', Z)]
            : []),
        ];
        const attributes = {
          kernel_shape: intsValue(weightShape.slice(2)),
          strides: intsValue(geometry.strides),
          pads: intsValue(geometry.pads),
          dilations: intsValue(geometry.dilations),
          group: intValue(geometry.group),
          x_max: intValue(255),
          ...(kind === 'Ternary' && { group_size: intValue(groupSize), weight_shape: intsValue(weightShape) }),
          ...(maxCode < 255 && { y_max: intValue(maxCode) }),
        };
        const operator = `${kind}Conv${variant}`;
        const [written, fused] = await runBoth(t, {
          operator,
          image: x,
          constants,
          attributes,
          ...(residual && { residual }),
        });
        assert.deepEqual(Array.from(written), expected, `case ${i} as written`);
        // QLinearAdd rounds sums beside the boundary of two codes its own way.
        const worst = expected.reduce((most, code, at) => Math.max(most, Math.abs(code - fused[at]!)), 0);
        assert.ok(worst <= (residual ? 1 : 0), `case ${i} fused differs by ${worst}`);
      }
    });
  }

  test(`the matrix products of ${kind} weights are defined as their formulas`, async (t) => {
    for (const [i, [m, n, k, groupSize]] of [
      [3, 5, 70, 64],
      [1, 3, 7, 4],
      [2, 8, 16, 8],
    ].entries()) {
      const x = randomImage([m!, k!], i, 0.04, 9);
      const weight = await randomWeight([n!, k!], groupSize!, i);
      const asConvolution = { ...weight, shape: [n!, k!, 1, 1] };
      const geometry: Geometry = { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 };
      const { sums } = convolve({ ...x, shape: [m!, 1, 1, k!] }, asConvolution, geometry);
      const scaleOf = (at: number) => weight.scales[at % n!]!;
      const attributes = {
        K: intValue(k!),
        N: intValue(n!),
        x_max: intValue(255),
        ...(kind === 'Ternary' && { group_size: intValue(groupSize!) }),
      };
      const operands = [...quantization('x', x), ...weightConstants(kind, weight)];
      const groups = groupConstants(kind, weight);
      const floats = async (operator: string, constants: Call['constants'], expected: readonly number[]) => {
        const call: Call = { operator, image: x, constants, attributes, outputDtype: 'float32' };
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (const [at, result] of (await runBoth(t, call)).entries()) {
          const worst = expected.reduce((most, value, j) => Math.max(most, Math.abs(value - result[j]!)), 0);
          // As written, floats add up K products; fused, integers do.
          assert.ok(
            worst <= (at === 0 ? k! * 2 ** -22 * largest : 0),
            `${operator}, case ${i}: ${worst} of ${largest}`,
          );
        }
      };
      const product = (sum: number, at: number) => f32(f32(sum) * f32(x.scale * scaleOf(at)));
      await floats(`${kind}MatMul`, [...operands, biasConstant(weight), ...groups], Array.from(sums, product));
      const unbiased = Array.from(sums, (sum, at) => product(sum - weight.bias[at % n!]!, at));
      await floats(`${kind}MatMulNoBias`, [...operands, ...groups], unbiased);
      for (const maxCode of [255, 15]) {
        const expected = Array.from(sums, (sum, at) => clamp(requantize(sum, x.scale, scaleOf(at), Z), maxCode));
        const [written, fused] = await runBoth(t, {
          operator: `${kind}Gemm${maxCode < 255 ? 'Clip' : ''}`,
          image: x,
          constants: [...operands, ...quantization('y', Z), biasConstant(weight), ...groups],
          attributes: { ...attributes, ...(maxCode < 255 && { y_max: intValue(maxCode) }) },
        });
        assert.deepEqual(Array.from(fused), expected, `case ${i}, up to ${maxCode}`);
        const worst = expected.reduce((most, code, at) => Math.max(most, Math.abs(code - written[at]!)), 0);
        assert.ok(worst <= 1, `case ${i} as written differs by ${worst}`);
      }
    }
  });
}

test('MaxPool is defined as the largest code of each window', async (t) => {
  const x = randomImage([2, 5, 7, 3], 1, 1, 0);
  const attributes = {
    kernel_shape: intsValue([2, 3]),
    strides: intsValue([2, 1]),
    pads: intsValue([0, 1, 1, 1]),
    dilations: intsValue([1, 2]),
    ceil_mode: intValue(0),
  };
  const expected: number[] = [];
  for (let b = 0; b < 2; b++)
    for (let oh = 0; oh < 3; oh++)
      for (let ow = 0; ow < 5; ow++)
        for (let c = 0; c < 3; c++) {
          let most = 0;
          for (const h of [2 * oh, 2 * oh + 1])
            for (const w of [ow - 1, ow + 1, ow + 3])
              if (h < 5 && w >= 0 && w < 7) most = Math.max(most, x.codes[((b * 5 + h) * 7 + w) * 3 + c]!);
          expected.push(most);
        }
  for (const result of await runBoth(t, { operator: 'MaxPool', image: x, constants: [], attributes })) {
    assert.deepEqual(Array.from(result), expected);
  }
});

test('an unknown operator has no definition', () => {
  assert.throws(() => functionNamed('TernaryTranspose', OPSET), TypeError);
});
