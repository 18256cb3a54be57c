/**
 * The operators of the domain `tritforge`, version 1, in standard operators; docs/operators.md lists inputs and attributes.
 * Activations between them are uint8, batch × height × width × channels. onnxruntime puts these bodies in place of nodes that it
 * has no kernel for, computes the weights once and pairs off the transpositions of neighbours, which leaves the graph of the
 * portable artifact.
 *
 *   TernaryConv, Int8Conv          y = QLinearConv(x, w, B)
 *   … Add                          z = quantize(dequantize(y) + dequantize(r))
 *   … Clip                         min(·, y_max) at the end, for values of less than 8 bits
 *   TernaryGemm, Int8Gemm          a matrix product with a quantized result; … Clip
 *   TernaryMatMul, Int8MatMul      y = float((x − x_zero_point) · w + B) · (x_scale · w_scale)
 *   … NoBias                       without B, for inputs of any rank
 *   MaxPool
 */
import { type FunctionDefinition, intsValue, intValue, scalarInt8, tensorFromInt8 } from '../../ir/index.js';
import { codesOfBytes } from '../unpack-codes.js';
import { FunctionBody } from './function-body.js';

/** The domain of the operators and its version. */
export const TRITFORGE_DOMAIN = 'tritforge';
export const TRITFORGE_VERSION = 1;

export type WeightKind = 'Ternary' | 'Int8';

/** What a convolution does besides. */
export interface ConvolutionVariant {
  readonly weights: WeightKind;
  readonly add: boolean;
  readonly clip: boolean;
}

/** What becomes of the result of a matrix product with a bias. */
export interface GemmVariant {
  readonly weights: WeightKind;
  readonly result: 'float' | 'quantized' | 'clipped';
}

/** Name of the operator: TernaryConv, Int8ConvAddClip, … */
export function convolutionName({ weights, add, clip }: ConvolutionVariant): string {
  return `${weights}Conv${add ? 'Add' : ''}${clip ? 'Clip' : ''}`;
}

/** TernaryMatMul where the result is in floating point, else TernaryGemm or TernaryGemmClip; and for Int8. */
export function gemmName({ weights, result }: GemmVariant): string {
  return `${weights}${{ float: 'MatMul', quantized: 'Gemm', clipped: 'GemmClip' }[result]}`;
}

/** TernaryMatMulNoBias or Int8MatMulNoBias. */
export function matrixProductName(weights: WeightKind): string {
  return `${weights}MatMulNoBias`;
}

const TO = { uint8: intValue(2), int8: intValue(3), int32: intValue(6) } as const;
const TO_CHANNELS_FIRST = { perm: intsValue([0, 3, 1, 2]) };
const TO_CHANNELS_LAST = { perm: intsValue([0, 2, 3, 1]) };

/** The definition of an operator by its name, in the given version of the standard operators (14 or newer). */
export function functionNamed(name: string, opset: number): FunctionDefinition {
  const define = DEFINITIONS.get(name);
  if (define === undefined) throw new TypeError(`there is no operator ${name}`);
  return define(new Map([['', opset]]));
}

type Opsets = ReadonlyMap<string, number>;
type Define = (opsets: Opsets) => FunctionDefinition;

const WEIGHT_KINDS = ['Ternary', 'Int8'] as const;
const CHOICES = [false, true] as const;

const DEFINITIONS: ReadonlyMap<string, Define> = new Map(
  WEIGHT_KINDS.flatMap((weights): (readonly [string, Define])[] => [
    ...CHOICES.flatMap((add) => CHOICES.map((clip) => ({ weights, add, clip }))).map(
      (variant) => [convolutionName(variant), (opsets: Opsets) => convolution(variant, opsets)] as const,
    ),
    ...(['float', 'quantized', 'clipped'] as const).map((result) => {
      const variant = { weights, result };
      return [gemmName(variant), (opsets: Opsets) => gemm(variant, opsets)] as const;
    }),
    [matrixProductName(weights), (opsets) => matrixProduct(weights, opsets)],
    ['MaxPool', maxPool],
  ]),
);

function convolution(variant: ConvolutionVariant, opsets: Opsets): FunctionDefinition {
  const body = new FunctionBody();
  body.declare('x_max');
  const inputs = ['X', 'x_scale', 'x_zero_point', 'W', 'w_scale', 'y_scale', 'y_zero_point', 'B'];
  if (variant.weights === 'Ternary') inputs.push('group_codes');
  const attributes = {
    ...body.intLists('kernel_shape', 'strides', 'pads', 'dilations'),
    group: body.attribute('group', 'int'),
  };
  const weight =
    variant.weights === 'Ternary' ? ternaryWeight(body, body.attributeValue('shape', 'weight_shape', 'ints')) : 'W';
  const x = body.add('Transpose', ['X'], 'x_channels_first', TO_CHANNELS_FIRST);
  const zero = body.tensor('w_zero_point', scalarInt8(0));
  const operands = [x, 'x_scale', 'x_zero_point', weight, 'w_scale', zero, 'y_scale', 'y_zero_point', 'B'];
  const y = body.add('QLinearConv', operands, 'y_channels_first', attributes);
  const moved = body.add('Transpose', [y], variant.add || variant.clip ? 'y' : 'Y', TO_CHANNELS_LAST);
  if (variant.add) inputs.push('R', 'r_scale', 'r_zero_point', 'z_scale', 'z_zero_point');
  const sum = variant.add ? addResidual(body, moved, variant.clip ? 'z' : 'Y') : moved;
  if (variant.clip) clip(body, sum, 'Y');
  return body.define(TRITFORGE_DOMAIN, convolutionName(variant), inputs, ['Y'], opsets);
}

function addResidual(body: FunctionBody, y: string, output: string): string {
  const left = body.add('DequantizeLinear', [y, 'y_scale', 'y_zero_point'], 'y_float');
  const right = body.add('DequantizeLinear', ['R', 'r_scale', 'r_zero_point'], 'r_float');
  const sum = body.add('Add', [left, right], 'sum');
  return body.add('QuantizeLinear', [sum, 'z_scale', 'z_zero_point'], output);
}

function clip(body: FunctionBody, value: string, output: string): void {
  const highest = body.add('Cast', [body.attributeValue('y_max_int64', 'y_max', 'int')], 'highest', { to: TO.uint8 });
  body.add('Clip', [value, '', highest], output);
}

/**
 * W, four codes per byte, times the code of each weight's group, as an int8 tensor of the given shape; `group_codes` has the
 * same shape but for axis 1, which counts groups. See decode-groups.ts, where the shapes are known beforehand.
 */
function ternaryWeight(body: FunctionBody, shape: string): string {
  const bytes = body.add('Cast', ['W'], 'bytes', { to: TO.int32 });
  const table = body.tensor('codes_of_byte', tensorFromInt8([256, 4], codesOfBytes('ternary')));
  const fours = body.add('Gather', [table, bytes], 'fours', { axis: intValue(0) });
  const flat = body.add('Reshape', [fours, body.ints('flat_shape', [-1])], 'flat');
  const count = body.add('ReduceProd', [shape], 'count', { keepdims: intValue(1) });
  const used = body.add('Slice', [flat, body.ints('start', [0]), count], 'used');
  const codes = body.add('Reshape', [used, shape], 'codes');
  const inputCount = body.add('Gather', [shape, body.int('axis', 1)], 'input_count');
  const input = body.add('Range', [body.int('first', 0), inputCount, body.int('step', 1)], 'input');
  const group = body.add('Div', [input, body.attributeValue('size', 'group_size', 'int')], 'group_of_input');
  const scales = body.add('Gather', ['group_codes', group], 'scales', { axis: intValue(1) });
  return body.add('Mul', [codes, scales], 'weight');
}

/** Rows of X times a matrix of [N, K]. onnxruntime fuses the Gemm with what surrounds it. */
function gemm(variant: GemmVariant, opsets: Opsets): FunctionDefinition {
  const body = new FunctionBody();
  const quantized = variant.result !== 'float';
  const inputs = ['X', 'x_scale', 'x_zero_point', 'W', 'w_scale'];
  if (quantized) inputs.push('y_scale', 'y_zero_point');
  inputs.push('B');
  const rows = matrix(body, variant.weights, inputs);
  const zeros = body.add('Sub', ['B', 'B'], 'zeros');
  const zerosInt8 = body.add('Cast', [zeros], 'zeros_int8', { to: TO.int8 });
  const scale = body.add('Mul', ['x_scale', 'w_scale'], 'bias_scale');
  const operands = [
    body.add('DequantizeLinear', ['X', 'x_scale', 'x_zero_point'], 'x_float'),
    body.add('DequantizeLinear', [rows, 'w_scale', zerosInt8], 'w_float', { axis: intValue(0) }),
    body.add('DequantizeLinear', ['B', scale, zeros], 'bias', { axis: intValue(0) }),
  ];
  const y = body.add('Gemm', operands, quantized ? 'y_float' : 'Y', { transB: intValue(1) });
  const clipped = variant.result === 'clipped';
  if (quantized) body.add('QuantizeLinear', [y, 'y_scale', 'y_zero_point'], clipped ? 'y' : 'Y');
  if (clipped) clip(body, 'y', 'Y');
  return body.define(TRITFORGE_DOMAIN, gemmName(variant), inputs, ['Y'], opsets);
}

function matrixProduct(weights: WeightKind, opsets: Opsets): FunctionDefinition {
  const body = new FunctionBody();
  const inputs = ['X', 'x_scale', 'x_zero_point', 'W', 'w_scale'];
  const rows = matrix(body, weights, inputs);
  const columns = body.add('Transpose', [rows], 'columns', { perm: intsValue([1, 0]) });
  const x = body.add('DequantizeLinear', ['X', 'x_scale', 'x_zero_point'], 'x_float');
  const w = body.add('DequantizeLinear', [columns, 'w_scale'], 'w_float', { axis: intValue(1) });
  body.add('MatMul', [x, w], 'Y');
  return body.define(TRITFORGE_DOMAIN, matrixProductName(weights), inputs, ['Y'], opsets);
}

/** The int8 matrix of [N, K]. */
function matrix(body: FunctionBody, weights: WeightKind, inputs: string[]): string {
  body.declare('x_max');
  if (weights === 'Int8') {
    body.declare('N');
    body.declare('K');
    return 'W';
  }
  inputs.push('group_codes');
  const lengthOne = body.ints('length_one', [1]);
  const sizes = ['N', 'K'].map((name) =>
    body.add('Reshape', [body.attributeValue(`${name}_scalar`, name, 'int'), lengthOne], `${name}_vector`),
  );
  return ternaryWeight(body, body.add('Concat', sizes, 'shape', { axis: intValue(0) }));
}

function maxPool(opsets: Opsets): FunctionDefinition {
  const body = new FunctionBody();
  const attributes = {
    ...body.intLists('kernel_shape', 'strides', 'pads', 'dilations'),
    ceil_mode: body.attribute('ceil_mode', 'int'),
  };
  const x = body.add('Transpose', ['X'], 'x_channels_first', TO_CHANNELS_FIRST);
  const y = body.add('MaxPool', [x], 'y_channels_first', attributes);
  body.add('Transpose', [y], 'Y', TO_CHANNELS_LAST);
  return body.define(TRITFORGE_DOMAIN, 'MaxPool', ['X'], ['Y'], opsets);
}
