import { intAttribute } from '../attribute-access.js';
import { axisIn } from './dimensions.js';
import { inferred, type ShapeRule, type ShapeRules, staticInts } from './rule.js';

const REDUCTIONS = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSum',
  'ReduceSumSquare',
];

const reduce: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const listed = rule.node.attributes.has('axes') || rule.hasInput(1);
  const axes = listed ? staticInts(rule, 'axes', 1) : [];
  if (shape === null || axes === null) return [inferred(dtype, null)];
  const keep = intAttribute(rule.node, 'keepdims', 1) === 1;
  // An empty list means all axes, unless the node says that it means none.
  if (axes.length === 0 && intAttribute(rule.node, 'noop_with_empty_axes', 0) === 1) return [inferred(dtype, shape)];
  const reduced = new Set(axes.length === 0 ? shape.keys() : axes.map((axis) => axisIn(shape.length, axis)));
  const result = shape.flatMap((size, axis) => (reduced.has(axis) ? (keep ? [1] : []) : [size]));
  return [inferred(dtype, result)];
};

const argReduce: ShapeRule = (rule) => {
  const { shape } = rule.input(0);
  if (shape === null) return [inferred('int64', null)];
  const at = axisIn(shape.length, intAttribute(rule.node, 'axis', 0));
  const keep = intAttribute(rule.node, 'keepdims', 1) === 1;
  return [
    inferred(
      'int64',
      shape.flatMap((size, axis) => (axis === at ? (keep ? [1] : []) : [size])),
    ),
  ];
};

export const REDUCTION_RULES: ShapeRules = {
  ...Object.fromEntries(REDUCTIONS.map((op) => [op, reduce])),
  ArgMax: argReduce,
  ArgMin: argReduce,
};
