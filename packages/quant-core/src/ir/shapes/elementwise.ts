import { intAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import { dtypeByNumber } from '../dtype-numbers.js';
import type { Dimension } from '../graph.js';
import { broadcast } from './dimensions.js';
import { type Inferred, inferred, type RuleInput, type ShapeRule, type ShapeRules, sameAsInput } from './rule.js';

const UNARY = [
  'Abs',
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'BitwiseNot',
  'Ceil',
  'Celu',
  'Clip',
  'Cos',
  'Cosh',
  'CumProd',
  'CumSum',
  'Elu',
  'Erf',
  'Exp',
  'Floor',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'Hardmax',
  'LeakyRelu',
  'Log',
  'Mish',
  'Neg',
  'Not',
  'PRelu',
  'Reciprocal',
  'Relu',
  'Round',
  'ScaledTanh',
  'Selu',
  'Shrink',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
  'Trilu',
];
const BROADCASTING = ['BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'Max', 'Mean', 'Min', 'Mod', 'Pow', 'Sum'];
const COMPARISONS = ['And', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Or', 'Xor'];

function broadcastShape(rule: RuleInput) {
  return broadcast(rule.node.inputs.map((_, index) => rule.input(index).shape));
}

function broadcasting(dtype?: DataType): ShapeRule {
  return (rule) => [inferred(dtype ?? rule.input(0).dtype, broadcastShape(rule))];
}

/** Broadcasting arithmetic that also follows integers, as exporters use it to compute shapes. */
function arithmetic(apply: (a: number, b: number) => number): ShapeRule {
  return (rule) => {
    const [a, b] = [rule.input(0), rule.input(1)];
    return [inferred(a.dtype, broadcastShape(rule), combineInts(a, b, apply))];
  };
}

function combineInts(a: Inferred, b: Inferred, apply: (a: number, b: number) => number): Dimension[] | null {
  if (a.ints === null || b.ints === null) return null;
  const [x, y] = [a.ints, b.ints];
  if (x.length !== y.length && x.length !== 1 && y.length !== 1) return null;
  // Broadcasting with nothing gives nothing.
  const length = x.length === 0 || y.length === 0 ? 0 : Math.max(x.length, y.length);
  return Array.from({ length }, (_, i) => {
    const [left, right] = [x[x.length === 1 ? 0 : i], y[y.length === 1 ? 0 : i]];
    if (typeof left !== 'number' || typeof right !== 'number') return null;
    const value = apply(left, right);
    return Number.isSafeInteger(value) ? value : null;
  });
}

const cast: ShapeRule = (rule) => {
  const { shape, ints } = rule.input(0);
  const dtype = dtypeByNumber(intAttribute(rule.node, 'to', 0));
  return [inferred(dtype, shape, dtype === 'int64' || dtype === 'int32' ? ints : null)];
};

const where: ShapeRule = (rule) => [inferred(rule.input(1).dtype, broadcastShape(rule))];

export const ELEMENTWISE_RULES: ShapeRules = {
  ...Object.fromEntries(UNARY.map((op) => [op, sameAsInput])),
  ...Object.fromEntries(BROADCASTING.map((op) => [op, broadcasting()])),
  ...Object.fromEntries(COMPARISONS.map((op) => [op, broadcasting('bool')])),
  Add: arithmetic((a, b) => a + b),
  Sub: arithmetic((a, b) => a - b),
  Mul: arithmetic((a, b) => a * b),
  Div: arithmetic((a, b) => Math.trunc(a / b)),
  Cast: cast,
  CastLike: (rule) => [inferred(rule.input(1).dtype, rule.input(0).shape)],
  BitCast: (rule) => [inferred(dtypeByNumber(intAttribute(rule.node, 'to', 0)), rule.input(0).shape)],
  Identity: (rule) => [rule.input(0)],
  IsInf: (rule) => [inferred('bool', rule.input(0).shape)],
  IsNaN: (rule) => [inferred('bool', rule.input(0).shape)],
  Where: where,
};
