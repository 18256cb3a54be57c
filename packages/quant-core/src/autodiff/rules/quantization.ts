/**
 * Straight-through estimation of quantized values: rounding counts as the identity.
 *
 *   q = QuantizeLinear(x)     x̄ = q̄
 *   y = DequantizeLinear(q)   q̄ = ȳ
 *
 * Gradients of codes are in the unit of the values that they stand for, not of one code, so that scales cancel and operators on
 * codes in between, such as MaxPool, need no rules of their own. What is clipped is the business of a Clip before: values beyond the
 * range of the codes must not get here.
 *
 * Source: Bengio, Léonard and Courville 2013, §4.
 */
import type { GradientRule } from '../rule.js';

const straightThrough: GradientRule = ({ dy, wants }) => [wants(0) ? dy : null];

export const QUANTIZATION_RULES: Readonly<Record<string, GradientRule>> = {
  QuantizeLinear: straightThrough,
  DequantizeLinear: straightThrough,
};
