/**
 * Straight-through estimation of quantized values: rounding counts as the identity. With scale s and zero point z,
 *
 *   q = QuantizeLinear(x, s, z)     x̄ = q̄     s̄ = −Σ q̄ · x / s
 *   y = DequantizeLinear(q, s, z)   q̄ = ȳ     s̄ =  Σ ȳ · y / s
 *
 * so that s̄ = Σ ȳ · (q − z − x/s) of both together, and with a Clip before, whose bounds are multiples of s, that of LSQ.
 * Gradients of codes are in the unit of the values that they stand for, not of one code, so that scales cancel and operators on
 * codes in between, such as MaxPool, need no rules of their own. What is clipped is the business of a Clip before: values beyond the
 * range of the codes must not get here.
 *
 * Sources: Bengio, Léonard and Courville 2013, §4; Esser et al. 2020 (LSQ), eq. 3.
 */
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../rule.js';

const quantizeLinear: GradientRule = ({ node, dy, ...input }) => [
  input.wants(0) ? dy : null,
  input.wants(1) ? input.b.unary('Neg', toScale(dy, node.inputs[0]!, node.inputs[1]!, input)) : null,
];

const dequantizeLinear: GradientRule = ({ node, dy, ...input }) => [
  input.wants(0) ? dy : null,
  input.wants(1) ? toScale(dy, node.outputs[0]!, node.inputs[1]!, input) : null,
];

/** Σ gradient · value / scale. */
function toScale(
  gradient: string,
  value: string,
  scale: string,
  { b, shapeOf }: Pick<RuleInput, 'b' | 'shapeOf'>,
): string {
  const shape = shapeOf(1);
  if (shape.length > 0) throw new UnsupportedGradient('a scale for each channel');
  return b.binary('Div', b.sumTo(b.binary('Mul', gradient, value), shape), scale);
}

export const QUANTIZATION_RULES: Readonly<Record<string, GradientRule>> = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
};
