/**
 * Gradients of the layers that native-layers.ts puts in: one operator each. Images are NHWC, weights [M, C, KH, KW]; formulas are in
 * packages/kernels/src/native/include/tritforge/training.h.
 */
import { intAttribute, intsAttribute, intsValue, intValue } from '../../ir/index.js';
import { type GradientRule, UnsupportedGradient } from '../rule.js';
import type { ShapedBuilder } from '../shaped-builder.js';

const conv: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const [x, w] = node.inputs as [string, string];
  const [shape, weights] = [shapeOf(0), shapeOf(1)];
  const windows = {
    strides: intsValue(intsAttribute(node, 'strides', [])),
    pads: intsValue(intsAttribute(node, 'pads', [])),
  };
  const ofInput = () =>
    b.native('FloatConvInputGradient', [dy, w], [shape], { ...windows, input_shape: intsValue(shape.slice(1, 3)) });
  const ofWeight = () =>
    b.native('FloatConvWeightGradient', [x, dy], [weights], { ...windows, kernel_shape: intsValue(weights.slice(2)) });
  return [wants(0) ? ofInput()[0]! : null, wants(1) ? ofWeight()[0]! : null, wants(2) ? b.sum(dy, [0, 1, 2]) : null];
};

/** Outputs Y, mean, variance, reciprocal deviation; with A as a last input it was added in front of the rectifier. */
const normalizeBatch: GradientRule = ({ b, dy, node, gradientOf, shapeOf }) => {
  if ([1, 2, 3].some((output) => gradientOf(output) !== null))
    throw new UnsupportedGradient('the loss depends on the statistics');
  const [x, scale, , added] = node.inputs as [string, string, string, string | undefined];
  const [y, mean, , reciprocal] = node.outputs as [string, string, string, string];
  const rectify = intAttribute(node, 'rectify', 0);
  const [shape, channels] = [shapeOf(0), shapeOf(1)];
  const splits = added !== undefined && rectify === 1;
  const [ofX, ofScale, ofBias, ofAdded] = b.native(
    'NormalizeBatchGradient',
    [dy, x, y, scale, mean, reciprocal],
    splits ? [shape, channels, channels, shape] : [shape, channels, channels],
    { rectify: intValue(rectify) },
  );
  return [ofX!, ofScale!, ofBias!, added === undefined ? null : (ofAdded ?? dy)];
};

export const NATIVE_RULES: Readonly<Record<string, GradientRule>> = {
  FloatConv: conv,
  NormalizeBatch: normalizeBatch,
};

/** The sum of two gradients. A convolution's that was computed last takes the other one as what its sums begin with. */
export function addInto(b: ShapedBuilder, known: string, gradient: string): string {
  const node = b.nodes.findLast(({ outputs }) => outputs[0] === gradient);
  if (node?.opType !== 'FloatConvInputGradient' || node.inputs.length > 2) return b.binary('Add', known, gradient);
  node.inputs = [...node.inputs, known];
  return gradient;
}
