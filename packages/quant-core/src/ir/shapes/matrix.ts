import { intAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import { broadcast, type Shape } from './dimensions.js';
import { inferred, type RuleInput, type ShapeRule, type ShapeRules } from './rule.js';

/** The shape of a matrix product with NumPy's rules for vectors and batches; null when a rank is unknown. */
export function matMulShape(a: Shape | null, b: Shape | null): Shape | null {
  if (a === null || b === null || a.length === 0 || b.length === 0) return null;
  const batch = broadcast([a.slice(0, -2), b.slice(0, -2)])!;
  const rows = a.length === 1 ? [] : [a[a.length - 2]!];
  const columns = b.length === 1 ? [] : [b[b.length - 1]!];
  return [...batch, ...rows, ...columns];
}

function matMul(bIndex: number, dtypeOf: (rule: RuleInput) => DataType): ShapeRule {
  return (rule) => [inferred(dtypeOf(rule), matMulShape(rule.input(0).shape, rule.input(bIndex).shape))];
}

const gemm: ShapeRule = (rule) => {
  const [a, b] = [rule.input(0).shape, rule.input(1).shape];
  const { dtype } = rule.input(0);
  if (a?.length !== 2 || b?.length !== 2) return [inferred(dtype, null)];
  const rows = intAttribute(rule.node, 'transA', 0) ? a[1]! : a[0]!;
  const columns = intAttribute(rule.node, 'transB', 0) ? b[0]! : b[1]!;
  return [inferred(dtype, [rows, columns])];
};

/** com.microsoft: the weight is packed; its logical size is in attributes N and K. */
const matMulNBits: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  return [inferred(dtype, shape && [...shape.slice(0, -1), intAttribute(rule.node, 'N', null)])];
};

export const MATRIX_RULES: ShapeRules = {
  Gemm: gemm,
  MatMul: matMul(1, (rule) => rule.input(0).dtype),
  MatMulInteger: matMul(1, () => 'int32'),
  QLinearMatMul: matMul(3, (rule) => rule.input(7).dtype),
  MatMulNBits: matMulNBits,
};
