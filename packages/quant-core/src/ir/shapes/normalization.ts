import { intAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import type { Dimension } from '../graph.js';
import { axisIn } from './dimensions.js';
import { inferred, type ShapeRule, type ShapeRules, sameAsInput } from './rule.js';

const SAME = [
  'GroupNormalization',
  'InstanceNormalization',
  'LRN',
  'LogSoftmax',
  'LpNormalization',
  'MeanVarianceNormalization',
  'RMSNormalization',
  'RotaryEmbedding',
  'Softmax',
];

const batchNormalization: ShapeRule = (rule) => {
  const statistics = inferred(rule.input(3).dtype, rule.input(3).shape);
  return [inferred(rule.input(0).dtype, rule.input(0).shape), statistics, statistics];
};

const layerNormalization: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const from = shape && axisIn(shape.length, intAttribute(rule.node, 'axis', -1));
  const reduced = shape?.map((size, axis): Dimension => (from !== null && axis >= from! ? 1 : size)) ?? null;
  const statistics = inferred('float32' satisfies DataType, reduced);
  return [inferred(dtype, shape), statistics, statistics];
};

const dropout: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  return [inferred(dtype, shape), inferred('bool', shape)];
};

export const NORMALIZATION_RULES: ShapeRules = {
  ...Object.fromEntries(SAME.map((op) => [op, sameAsInput])),
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  SimplifiedLayerNormalization: layerNormalization,
  Dropout: dropout,
};
