import { intAttribute, intsAttribute, tensorAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import { dtypeByNumber } from '../dtype-numbers.js';
import type { Dimension } from '../graph.js';
import { elementCount, type Tensor } from '../tensor.js';
import { floatsInMemory, intsInMemory } from '../tensor-values.js';
import { axisIn, productOf } from './dimensions.js';
import {
  type Inferred,
  inferred,
  MAX_TRACKED_FLOATS,
  MAX_TRACKED_INTS,
  type RuleInput,
  type ShapeRule,
  type ShapeRules,
  UNKNOWN,
} from './rule.js';

/** Tensors out of nothing or out of shapes. These decide sizes, so they matter most for refusing impossible models. */

/** What is known of a constant: everything, of small integer tensors the elements too. */
export function inferTensor(tensor: Tensor): Inferred {
  const tracked = tensor.shape.length <= 1 && elementCount(tensor.shape) <= MAX_TRACKED_INTS;
  const value = inferred(tensor.dtype, tensor.shape, tracked ? (intsInMemory(tensor)?.map(Number) ?? null) : null);
  const isShort = tensor.shape.length === 1 && elementCount(tensor.shape) <= MAX_TRACKED_FLOATS;
  const floats = isShort ? floatsInMemory(tensor) : null;
  return floats === null ? value : { ...value, floats };
}

const constant: ShapeRule = ({ node }) => {
  const tensor = tensorAttribute(node, 'value');
  if (tensor !== undefined) return [inferTensor(tensor)];
  const int = intAttribute(node, 'value_int', null);
  if (int !== null) return [inferred('int64', [], [int])];
  const ints = intsAttribute(node, 'value_ints', null);
  if (ints !== null) return [inferred('int64', [ints.length], ints.length <= MAX_TRACKED_INTS ? ints : null)];
  if (node.attributes.has('value_float')) return [inferred('float32', [])];
  const floats = node.attributes.get('value_floats');
  return [floats?.kind === 'floats' ? inferred('float32', [floats.value.length]) : UNKNOWN];
};

const constantOfShape: ShapeRule = (rule) => {
  const value = tensorAttribute(rule.node, 'value');
  const shape = rule.input(0).ints;
  const fill = value === undefined ? null : (intsInMemory(value)?.[0] ?? null);
  const length = shape?.length === 1 ? shape[0] : null;
  const tracked = fill !== null && typeof length === 'number' && length >= 0 && length <= MAX_TRACKED_INTS;
  const ints = tracked ? new Array<Dimension>(length).fill(Number(fill)) : null;
  return [inferred(value?.dtype ?? 'float32', shape, ints)];
};

const range: ShapeRule = (rule) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => rule.input(index).ints?.[0]);
  const { dtype } = rule.input(0);
  if (typeof start !== 'number' || typeof limit !== 'number' || typeof delta !== 'number' || delta === 0) {
    return [inferred(dtype, [null])];
  }
  const length = Math.max(0, Math.ceil((limit - start) / delta));
  const ints = length <= MAX_TRACKED_INTS ? Array.from({ length }, (_, i) => start + i * delta) : null;
  return [inferred(dtype, [length], ints)];
};

const shapeOf: ShapeRule = (rule) => {
  const { shape } = rule.input(0);
  if (shape === null) return [inferred('int64', [null])];
  const rank = shape.length;
  const bound = (value: number) => Math.min(rank, Math.max(0, value < 0 ? value + rank : value));
  const part = shape.slice(bound(intAttribute(rule.node, 'start', 0)), bound(intAttribute(rule.node, 'end', rank)));
  return [inferred('int64', [part.length], part)];
};

const oneHot: ShapeRule = (rule) => {
  const { shape } = rule.input(0);
  const { dtype } = rule.input(2);
  if (shape === null) return [inferred(dtype, null)];
  const axis = axisIn(shape.length + 1, intAttribute(rule.node, 'axis', -1));
  if (axis === null) return [inferred(dtype, null)];
  return [inferred(dtype, [...shape.slice(0, axis), rule.input(1).ints?.[0] ?? null, ...shape.slice(axis)])];
};

function declaredDtype(rule: RuleInput, fallback: DataType): DataType {
  const number = intAttribute(rule.node, 'dtype', null);
  return number === null ? fallback : dtypeByNumber(number);
}

const like: ShapeRule = (rule) => [inferred(declaredDtype(rule, rule.input(0).dtype), rule.input(0).shape)];
const random: ShapeRule = (rule) => [inferred(declaredDtype(rule, 'float32'), intsAttribute(rule.node, 'shape', null))];

export const GENERATION_RULES: ShapeRules = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  Shape: shapeOf,
  Size: (rule) => [inferred('int64', [], rule.input(0).shape && [productOf(rule.input(0).shape!)])],
  OneHot: oneHot,
  EyeLike: like,
  Bernoulli: like,
  RandomNormalLike: like,
  RandomUniformLike: like,
  RandomNormal: random,
  RandomUniform: random,
  NonZero: (rule) => [inferred('int64', [rule.input(0).shape?.length ?? null, null])],
  BlackmanWindow: (rule) => [inferred('float32', [rule.input(0).ints?.[0] ?? null])],
  HammingWindow: (rule) => [inferred('float32', [rule.input(0).ints?.[0] ?? null])],
  HannWindow: (rule) => [inferred('float32', [rule.input(0).ints?.[0] ?? null])],
};
