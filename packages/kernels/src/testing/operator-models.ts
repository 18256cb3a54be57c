/**
 * Models of one operator of the domain `tritforge`, with a function body of standard operators: onnxruntime runs the body where
 * our operators are not registered. Weights and parameters are random.
 */
import { type Attribute, localFunction, model, node, tensor, value } from './onnx-writer.js';
import { Random } from './random.js';

export interface ConvolutionCase {
  readonly seed: number;
  readonly ternary: boolean;
  readonly add: boolean;
  readonly yMax: number;
  readonly xMax: number;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly outputChannels: number;
  readonly depth: number;
  readonly group: number;
  readonly groupSize: number;
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly pads: readonly [number, number, number, number];
}

/** What to change in a model that would be right, to see it refused. */
export interface Sabotage {
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Initializers by name. */
  readonly initializers?: Readonly<Record<string, Uint8Array>>;
}

export interface OperatorModel {
  readonly opType: string;
  readonly bytes: Uint8Array;
  /** Shapes of the inputs `X` and, with a residual, `R`. */
  readonly inputs: ReadonlyMap<string, readonly number[]>;
  readonly outputShape: readonly number[];
}

const NO_SABOTAGE: Sabotage = {};

/** One of the eight convolutions. `symbolic` leaves batch, height and width of the model's inputs open. */
export function convolutionModel(c: ConvolutionCase, sabotage = NO_SABOTAGE, symbolic = false): OperatorModel {
  const random = new Random(c.seed);
  const opType = `${c.ternary ? 'Ternary' : 'Int8'}Conv${c.add ? 'Add' : ''}${c.yMax < 255 ? 'Clip' : ''}`;
  const taps = c.kernel[0] * c.kernel[1];
  const groups = Math.ceil(c.depth / c.groupSize);
  const weightShape = [c.outputChannels, c.depth, ...c.kernel];
  const count = c.outputChannels * c.depth * taps;
  const weights = c.ternary
    ? tensor('W', 'uint8', [Math.ceil(count / 4)], packedCodes(random, count))
    : tensor('W', 'int8', weightShape, int8Values(random, count));
  const yScale = accumulatorSpread(c) * MEAN_SCALE ** 2 * spreadFactor(c.add ? 255 : c.yMax);
  const zScale = (yScale * 64 + MEAN_SCALE * 64) * spreadFactor(c.yMax);
  const constants = [
    ...quantization('x', MEAN_SCALE, c.xMax, random),
    weights,
    tensor('w_scale', 'float32', [c.outputChannels], scales(random, c.outputChannels)),
    ...quantization('y', yScale, c.add ? 255 : c.yMax, random),
    tensor('B', 'int32', [c.outputChannels], biases(random, c.outputChannels)),
  ];
  if (c.ternary) {
    const codes = groupCodes(random, c.outputChannels * groups * taps);
    constants.push(tensor('group_codes', 'int8', [c.outputChannels, groups, ...c.kernel], codes));
  }
  if (c.add) {
    constants.push(...quantization('r', MEAN_SCALE, 255, random), ...quantization('z', zScale, c.yMax, random));
  }
  const inputs = ['X', 'x_scale', 'x_zero_point', 'W', 'w_scale', 'y_scale', 'y_zero_point', 'B'];
  if (c.ternary) inputs.push('group_codes');
  if (c.add) inputs.push('R', 'r_scale', 'r_zero_point', 'z_scale', 'z_zero_point');
  const attributes: Record<string, Attribute> = {
    kernel_shape: c.kernel,
    strides: c.strides,
    pads: c.pads,
    dilations: c.dilations,
    group: c.group,
    ...(c.yMax < 255 && { y_max: c.yMax }),
    ...(c.xMax < 255 && { x_max: c.xMax }),
    ...(c.ternary && { group_size: c.groupSize, weight_shape: weightShape }),
    ...sabotage.attributes,
  };
  const imageShape = [c.batch, c.height, c.width, c.depth * c.group];
  const outputShape = [c.batch, extent(c, 0), extent(c, 1), c.outputChannels];
  const declared = (name: string, shape: readonly number[]) =>
    value(name, 'uint8', symbolic ? ['batch', `${name}_height`, `${name}_width`, shape[3] as number] : shape);
  return {
    opType,
    inputs: new Map([['X', imageShape], ...(c.add ? ([['R', outputShape]] as const) : [])]),
    outputShape,
    bytes: model(
      {
        nodes: [node(opType, inputs, ['Y'], attributes, 'tritforge')],
        initializers: replaced(constants, sabotage),
        inputs: [declared('X', imageShape), ...(c.add ? [declared('R', outputShape)] : [])],
        outputs: [value('Y', 'uint8', symbolic ? [null, null, null, null] : outputShape)],
      },
      [localFunction(opType, inputs, ['Y'], convolutionBody(c, weightShape), Object.keys(attributes))],
    ),
  };
}

export interface MatmulCase {
  readonly seed: number;
  readonly ternary: boolean;
  /** MatMul when left out. */
  readonly form?: 'MatMul' | 'MatMulNoBias' | 'Gemm';
  /** Of a Gemm; 255 when left out. */
  readonly yMax?: number;
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  readonly groupSize: number;
}

/** A product of X [1, rows, K], or of X [rows, K] where the result is quantized; the number of rows is open. */
/** A ternary convolution that is right. */
export const plainConvolution: ConvolutionCase = {
  seed: 1,
  ternary: true,
  add: false,
  yMax: 255,
  xMax: 255,
  batch: 2,
  height: 9,
  width: 11,
  outputChannels: 20,
  depth: 24,
  group: 1,
  groupSize: 16,
  kernel: [3, 3],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [1, 1, 1, 1],
};

/** A ternary matrix product that is right. */
export const plainMatmul: MatmulCase = { seed: 1, ternary: true, rows: 5, n: 33, k: 70, groupSize: 16 };

export function matmulModel(c: MatmulCase, sabotage = NO_SABOTAGE): OperatorModel {
  const random = new Random(c.seed);
  const { form = 'MatMul', yMax = 255 } = c;
  const opType = `${c.ternary ? 'Ternary' : 'Int8'}${form}${yMax < 255 ? 'Clip' : ''}`;
  const groups = Math.ceil(c.k / c.groupSize);
  const isGemm = form === 'Gemm';
  const hasBias = form !== 'MatMulNoBias';
  const inputs = ['X', 'x_scale', 'x_zero_point', 'W', 'w_scale'];
  if (isGemm) inputs.push('y_scale', 'y_zero_point');
  if (hasBias) inputs.push('B');
  if (c.ternary) inputs.push('group_codes');
  const yScale = Math.sqrt(c.k) * 85 * 30 * MEAN_SCALE ** 2 * spreadFactor(yMax);
  const constants = [
    ...quantization('x', MEAN_SCALE, 255, random),
    c.ternary
      ? tensor('W', 'uint8', [Math.ceil((c.n * c.k) / 4)], packedCodes(random, c.n * c.k))
      : tensor('W', 'int8', [c.n, c.k], int8Values(random, c.n * c.k)),
    tensor('w_scale', 'float32', [c.n], scales(random, c.n)),
    ...(isGemm ? quantization('y', yScale, yMax, random) : []),
    ...(hasBias ? [tensor('B', 'int32', [c.n], biases(random, c.n))] : []),
    ...(c.ternary ? [tensor('group_codes', 'int8', [c.n, groups], groupCodes(random, c.n * groups))] : []),
  ];
  const attributes = {
    K: c.k,
    N: c.n,
    ...(c.ternary && { group_size: c.groupSize }),
    ...(yMax < 255 && { y_max: yMax }),
    ...sabotage.attributes,
  };
  const body = [
    ...(c.ternary ? decoded([c.n, c.k, 1, 1], c.groupSize) : [node('Identity', ['W'], ['w8_4d'])]),
    constant('matrix', 'int64', [2], BigInt64Array.of(BigInt(c.n), BigInt(c.k))),
    node('Reshape', ['w8_4d', 'matrix'], ['w8']),
    ...(isGemm ? quantizedProduct(c.n, yMax) : floatProduct(hasBias)),
  ];
  const batch = isGemm ? [] : [1];
  return {
    opType,
    inputs: new Map([['X', [...batch, c.rows, c.k]]]),
    outputShape: [...batch, c.rows, c.n],
    bytes: model(
      {
        nodes: [node(opType, inputs, ['Y'], attributes, 'tritforge')],
        initializers: replaced(constants, sabotage),
        inputs: [value('X', 'uint8', [...batch, 'rows', c.k])],
        outputs: [value('Y', isGemm ? 'uint8' : 'float32', [...batch, 'rows', c.n])],
      },
      [localFunction(opType, inputs, ['Y'], body, Object.keys(attributes))],
    ),
  };
}

/** From `w8` to `Y` in integers up to the last step. */
function floatProduct(hasBias: boolean): Uint8Array[] {
  return [
    node('Transpose', ['w8'], ['w8_t'], { perm: [1, 0] }),
    node('MatMulInteger', ['X', 'w8_t', 'x_zero_point'], ['products']),
    ...(hasBias ? [node('Add', ['products', 'B'], ['sums'])] : []),
    node('Cast', [hasBias ? 'sums' : 'products'], ['floats'], { to: 1 }),
    node('Mul', ['x_scale', 'w_scale'], ['scales']),
    node('Mul', ['floats', 'scales'], ['Y']),
  ];
}

/** From `w8` to `Y`, which onnxruntime fuses to QGemm. */
function quantizedProduct(n: number, yMax: number): Uint8Array[] {
  return [
    constant('w_zero_point', 'int8', [n], new Int8Array(n)),
    constant('b_zero_point', 'int32', [n], new Int32Array(n)),
    node('Mul', ['x_scale', 'w_scale'], ['scales']),
    node('DequantizeLinear', ['X', 'x_scale', 'x_zero_point'], ['x_float']),
    node('DequantizeLinear', ['w8', 'w_scale', 'w_zero_point'], ['w_float'], { axis: 0 }),
    node('DequantizeLinear', ['B', 'scales', 'b_zero_point'], ['b_float'], { axis: 0 }),
    node('Gemm', ['x_float', 'w_float', 'b_float'], ['y_float'], { transB: 1 }),
    node('QuantizeLinear', ['y_float', 'y_scale', 'y_zero_point'], [yMax < 255 ? 'y' : 'Y']),
    ...(yMax < 255 ? clipped('y', yMax) : []),
  ];
}

export type PoolCase = Pick<
  ConvolutionCase,
  'batch' | 'height' | 'width' | 'kernel' | 'strides' | 'dilations' | 'pads'
> & { readonly channels: number };

export function maxPoolModel(c: PoolCase, sabotage = NO_SABOTAGE): OperatorModel {
  const { kernel, strides, pads, dilations } = c;
  const attributes = { kernel_shape: kernel, strides, pads, dilations, ceil_mode: 0, ...sabotage.attributes };
  const standard = { kernel_shape: kernel, strides, pads, dilations };
  const inputShape = [c.batch, c.height, c.width, c.channels];
  const outputShape = [c.batch, extent(c, 0), extent(c, 1), c.channels];
  const body = [
    node('Transpose', ['X'], ['x'], { perm: [0, 3, 1, 2] }),
    node('MaxPool', ['x'], ['y'], standard),
    node('Transpose', ['y'], ['Y'], { perm: [0, 2, 3, 1] }),
  ];
  return {
    opType: 'MaxPool',
    inputs: new Map([['X', inputShape]]),
    outputShape,
    bytes: model(
      {
        nodes: [node('MaxPool', ['X'], ['Y'], attributes, 'tritforge')],
        inputs: [value('X', 'uint8', inputShape)],
        outputs: [value('Y', 'uint8', outputShape)],
      },
      [localFunction('MaxPool', ['X'], ['Y'], body, Object.keys(attributes))],
    ),
  };
}

function extent(
  c: Pick<ConvolutionCase, 'height' | 'width' | 'kernel' | 'strides' | 'dilations' | 'pads'>,
  axis: 0 | 1,
): number {
  const size = axis === 0 ? c.height : c.width;
  const padded = size + c.pads[axis] + (c.pads[axis + 2] as number);
  return Math.floor((padded - (c.kernel[axis] - 1) * c.dilations[axis] - 1) / c.strides[axis]) + 1;
}

function convolutionBody(c: ConvolutionCase, weightShape: readonly number[]): Uint8Array[] {
  const { kernel, strides, pads, dilations, group } = c;
  const standard = { kernel_shape: kernel, strides, pads, dilations, group };
  const nodes = [
    node('Transpose', ['X'], ['x'], { perm: [0, 3, 1, 2] }),
    ...(c.ternary ? decoded(weightShape, c.groupSize) : [node('Identity', ['W'], ['w8_4d'])]),
    constant('w_zero_point', 'int8', [c.outputChannels], new Int8Array(c.outputChannels)),
    node(
      'QLinearConv',
      ['x', 'x_scale', 'x_zero_point', 'w8_4d', 'w_scale', 'w_zero_point', 'y_scale', 'y_zero_point', 'B'],
      ['y'],
      standard,
    ),
  ];
  let last = 'y';
  if (c.add) {
    nodes.push(
      node('Transpose', ['R'], ['r'], { perm: [0, 3, 1, 2] }),
      node('DequantizeLinear', ['y', 'y_scale', 'y_zero_point'], ['y_float']),
      node('DequantizeLinear', ['r', 'r_scale', 'r_zero_point'], ['r_float']),
      node('Add', ['y_float', 'r_float'], ['z_float']),
      node('QuantizeLinear', ['z_float', 'z_scale', 'z_zero_point'], ['z']),
    );
    last = 'z';
  }
  if (c.yMax < 255) {
    nodes.push(...clipped(last, c.yMax, 'clipped'));
    last = 'clipped';
  }
  nodes.push(node('Transpose', [last], ['Y'], { perm: [0, 2, 3, 1] }));
  return nodes;
}

function clipped(input: string, yMax: number, output = 'Y'): Uint8Array[] {
  return [
    constant('lowest', 'uint8', [], Uint8Array.of(0)),
    constant('highest', 'uint8', [], Uint8Array.of(yMax)),
    node('Clip', [input, 'lowest', 'highest'], [output]),
  ];
}

/** From `W` and `group_codes` to `w8_4d`, int8 [OC, depth, kH, kW]. */
function decoded(weightShape: readonly number[], groupSize: number): Uint8Array[] {
  const [outputChannels, depth, height, width] = weightShape as [number, number, number, number];
  const count = outputChannels * depth * height * width;
  const groups = Math.ceil(depth / groupSize);
  const lookup = Int8Array.from({ length: 1024 }, (_, i) => [0, 1, 0, -1][((i >> 2) >> (2 * (i & 3))) & 3] as number);
  const groupOf = BigInt64Array.from({ length: depth }, (_, i) => BigInt(Math.floor(i / groupSize)));
  const integers = (...values: number[]) => BigInt64Array.from(values, BigInt);
  return [
    constant('lookup', 'int8', [256, 4], lookup),
    node('Cast', ['W'], ['indexes'], { to: 6 }),
    node('Gather', ['lookup', 'indexes'], ['fours'], { axis: 0 }),
    constant('flat', 'int64', [1], integers(-1)),
    node('Reshape', ['fours', 'flat'], ['padded']),
    constant('first', 'int64', [1], integers(0)),
    constant('count', 'int64', [1], integers(count)),
    node('Slice', ['padded', 'first', 'count'], ['codes']),
    constant('shape', 'int64', [4], integers(outputChannels, depth, height, width)),
    node('Reshape', ['codes', 'shape'], ['codes_4d']),
    constant('grouped', 'int64', [4], integers(outputChannels, groups, height, width)),
    node('Reshape', ['group_codes', 'grouped'], ['groups_4d']),
    constant('group_of', 'int64', [depth], groupOf),
    node('Gather', ['groups_4d', 'group_of'], ['magnitudes'], { axis: 1 }),
    node('Cast', ['codes_4d'], ['signs'], { to: 6 }),
    node('Cast', ['magnitudes'], ['sizes'], { to: 6 }),
    node('Mul', ['signs', 'sizes'], ['values']),
    node('Cast', ['values'], ['w8_4d'], { to: 3 }),
  ];
}

function constant(
  name: string,
  type: string,
  shape: readonly number[],
  data: Exclude<NodeJS.TypedArray, Uint8ClampedArray>,
) {
  return node('Constant', [], [name], { value: { tensor: tensor('', type, shape, data) } });
}

function replaced(constants: readonly Uint8Array[], { initializers = {} }: Sabotage): Uint8Array[] {
  const isReplaced = (bytes: Uint8Array) => Object.keys(initializers).some((name) => isNamed(bytes, name));
  return [...constants.filter((bytes) => !isReplaced(bytes)), ...Object.values(initializers)];
}

/** Whether the tensor's name field (number 8) is this one. */
function isNamed(bytes: Uint8Array, name: string): boolean {
  return Buffer.from(bytes).includes(Buffer.concat([Buffer.from([8 * 8 + 2, name.length]), Buffer.from(name)]));
}

/** Of inputs and weights. */
const MEAN_SCALE = 0.0125;

/** A scale at which values of standard deviation 1 fill the codes up to `maximum`. */
function spreadFactor(maximum: number): number {
  return 4 / maximum;
}

/** Standard deviation of the sums of a convolution, roughly. */
function accumulatorSpread(c: ConvolutionCase): number {
  return Math.sqrt(c.depth * c.kernel[0] * c.kernel[1]) * (c.xMax / 3) * 30;
}

/** A random scale about `scale`, and a zero point in the lower half of the codes. */
function quantization(name: string, scale: number, maximum: number, random: Random): Uint8Array[] {
  const zeroPoint = random.pick([0, Math.floor(maximum / 2), random.integer(0, Math.floor(maximum / 2))]);
  return [
    tensor(`${name}_scale`, 'float32', [], Float32Array.of(scale * random.between(0.5, 1.5))),
    tensor(`${name}_zero_point`, 'uint8', [], Uint8Array.of(zeroPoint)),
  ];
}

function packedCodes(random: Random, count: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(count / 4));
  for (let i = 0; i < count; i++) bytes[i >> 2] = (bytes[i >> 2] as number) | (random.pick([0, 1, 3]) << (2 * (i & 3)));
  return bytes;
}

function groupCodes(random: Random, count: number): Int8Array {
  return Int8Array.from({ length: count }, () => random.integer(0, 64));
}

function int8Values(random: Random, count: number): Int8Array {
  return Int8Array.from({ length: count }, () => random.integer(-64, 64));
}

function scales(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => MEAN_SCALE * random.between(0.4, 1.6));
}

function biases(random: Random, count: number): Int32Array {
  return Int32Array.from({ length: count }, () => random.integer(-3000, 3000));
}
