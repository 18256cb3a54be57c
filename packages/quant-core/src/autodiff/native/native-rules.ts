/**
 * Gradients of the layers that native-layers.ts puts in: one operator each. Images are NHWC, weights [M, C, KH, KW]; formulas are in
 * packages/kernels/src/native/include/tritforge/training.h.
 */
import { intAttribute, intsAttribute, intsValue, intValue } from '../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../rule.js';
import type { ShapedBuilder } from '../shaped-builder.js';

const conv: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const [x, w] = node.inputs as [string, string];
  const [shape, weights] = [shapeOf(0), shapeOf(1)];
  const windows = {
    strides: intsValue(intsAttribute(node, 'strides', [])),
    pads: intsValue(intsAttribute(node, 'pads', [])),
    group: intValue(intAttribute(node, 'group', 1)),
  };
  const ofInput = () =>
    b.native('FloatConvInputGradient', [dy, w], [shape], { ...windows, input_shape: intsValue(shape.slice(1, 3)) });
  const ofWeight = () =>
    b.native('FloatConvWeightGradient', [x, dy], [weights], { ...windows, kernel_shape: intsValue(weights.slice(2)) });
  return [wants(0) ? ofInput()[0]! : null, wants(1) ? ofWeight()[0]! : null, wants(2) ? b.sum(dy, [0, 1, 2]) : null];
};

const maxPool: GradientRule = ({ b, dy, node, shapeOf }) => {
  const inputs = [dy, node.inputs[0]!, node.outputs[0]!];
  return b.native('FloatMaxPoolGradient', inputs, [shapeOf(0)], Object.fromEntries(node.attributes));
};

/** Inputs X, low, high, scale. */
const quantize: GradientRule = ({ b, dy, node, shapeOf }) => {
  const shapes = [0, 1, 2, 3].map(shapeOf);
  return b.native('FloatQuantizeGradient', [dy, ...node.inputs], shapes, Object.fromEntries(node.attributes));
};

/** What both normalizations have: Y is the first output, A the last input, added in front of the rectifier. */
interface Normalization {
  readonly added: string | undefined;
  readonly mean: string;
  readonly reciprocal: string;
  readonly isGiven: boolean;
}

/** Gradients of X, γ, β and A; null for A where nothing was added. */
function normalizationGradients(
  { b, dy, node, shapeOf }: RuleInput,
  { added, mean, reciprocal, isGiven }: Normalization,
): [string, string, string, string | null] {
  const [x, scale, bias] = node.inputs as [string, string, string];
  const rectify = intAttribute(node, 'rectify', 0);
  const [shape, channels] = [shapeOf(0), shapeOf(1)];
  // Where nothing was added, what was rectified is computed anew: reading it takes longer.
  const output = added === undefined ? bias : node.outputs[0]!;
  const splits = added !== undefined && rectify === 1;
  const [ofX, ofScale, ofBias, ofAdded] = b.native(
    'NormalizeBatchGradient',
    [dy, x, output, scale, mean, reciprocal],
    splits ? [shape, channels, channels, shape] : [shape, channels, channels],
    { rectify: intValue(rectify), given: intValue(isGiven ? 1 : 0) },
  );
  return [ofX!, ofScale!, ofBias!, added === undefined ? null : (ofAdded ?? dy)];
}

/** Outputs Y, mean, variance, reciprocal deviation. */
const normalizeBatch: GradientRule = (input) => {
  if ([1, 2, 3].some((output) => input.gradientOf(output) !== null))
    throw new UnsupportedGradient('the loss depends on the statistics');
  const [, mean, , reciprocal] = input.node.outputs as [string, string, string, string];
  return normalizationGradients(input, { added: input.node.inputs[3], mean, reciprocal, isGiven: false });
};

/** Outputs Y and the reciprocal deviation r:  μ̄ = −γ r β̄,  v̄ = −½ γ r² γ̄. */
const normalizeChannels: GradientRule = (input) => {
  const { b, node, wants, gradientOf } = input;
  if (gradientOf(1) !== null) throw new UnsupportedGradient('the loss depends on the deviation');
  const [, scale, , mean, , added] = node.inputs as [string, string, string, string, string, string?];
  const reciprocal = node.outputs[1]!;
  const [ofX, ofScale, ofBias, ofAdded] = normalizationGradients(input, { added, mean, reciprocal, isGiven: true });
  const slope = () => b.binary('Mul', scale, reciprocal);
  return [
    ofX,
    ofScale,
    ofBias,
    wants(3) ? b.unary('Neg', b.binary('Mul', slope(), ofBias)) : null,
    wants(4) ? b.scaled(b.binary('Mul', b.binary('Mul', slope(), reciprocal), ofScale), -0.5) : null,
    ofAdded,
  ];
};

export const NATIVE_RULES: Readonly<Record<string, GradientRule>> = {
  FloatConv: conv,
  FloatMaxPool: maxPool,
  FloatQuantize: quantize,
  NormalizeBatch: normalizeBatch,
  NormalizeChannels: normalizeChannels,
};

/** The sum of two gradients. A convolution's that was computed last takes the other one as what its sums begin with. */
export function addInto(b: ShapedBuilder, known: string, gradient: string): string {
  const node = b.nodes.findLast(({ outputs }) => outputs[0] === gradient);
  if (node?.opType !== 'FloatConvInputGradient' || node.inputs.length > 2) return b.binary('Add', known, gradient);
  node.inputs = [...node.inputs, known];
  return gradient;
}
