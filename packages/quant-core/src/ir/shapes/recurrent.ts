import { intAttribute, stringAttribute } from '../attribute-access.js';
import { inferred, type ShapeRule, type ShapeRules } from './rule.js';

/** X is sequence × batch × features, or batch × sequence × features with `layout` 1. */
const recurrent: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  if (shape?.length !== 3) return [inferred(dtype, null), inferred(dtype, null), inferred(dtype, null)];
  const directions = stringAttribute(rule.node, 'direction', 'forward') === 'bidirectional' ? 2 : 1;
  const hidden = intAttribute(rule.node, 'hidden_size', null) ?? rule.input(2).shape?.[2] ?? null;
  const batchFirst = intAttribute(rule.node, 'layout', 0) === 1;
  const [sequence, batch] = batchFirst ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
  const all = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden];
  const last = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  return [inferred(dtype, all), inferred(dtype, last), inferred(dtype, last)];
};

export const RECURRENT_RULES: ShapeRules = { GRU: recurrent, LSTM: recurrent, RNN: recurrent };
