import { intAttribute } from '../attribute-access.js';
import { dtypeByNumber } from '../dtype-numbers.js';
import { inferred, type ShapeRule, type ShapeRules } from './rule.js';

const quantizeLinear: ShapeRule = (rule) => {
  const declared = dtypeByNumber(intAttribute(rule.node, 'output_dtype', 0));
  const fallback = rule.hasInput(2) ? rule.input(2).dtype : 'uint8';
  return [inferred(declared === 'undefined' ? fallback : declared, rule.input(0).shape)];
};

const dequantizeLinear: ShapeRule = (rule) => {
  const declared = dtypeByNumber(intAttribute(rule.node, 'output_dtype', 0));
  return [inferred(declared === 'undefined' ? rule.input(1).dtype : declared, rule.input(0).shape)];
};

const dynamicQuantizeLinear: ShapeRule = (rule) => [
  inferred('uint8', rule.input(0).shape),
  inferred('float32', []),
  inferred('uint8', []),
];

export const QUANTIZATION_RULES: ShapeRules = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
};
