/**
 * Along one axis, with the sums over it:
 *
 *   y = eˣ / Σ eˣ        x̄ = y (ȳ − Σ ȳ y)
 *   y = x − ln Σ eˣ      x̄ = ȳ − eʸ Σ ȳ
 */
import { intAttribute } from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';

export const softmax: GradientRule = (input) => {
  const { b, dy, node } = input;
  const y = node.outputs[0]!;
  const along = b.sum(b.binary('Mul', dy, y), [axisOf(input)], true);
  return [b.binary('Mul', b.binary('Sub', dy, along), y)];
};

export const logSoftmax: GradientRule = (input) => {
  const { b, dy, node } = input;
  const along = b.sum(dy, [axisOf(input)], true);
  return [b.binary('Sub', dy, b.binary('Mul', b.unary('Exp', node.outputs[0]!), along))];
};

function axisOf({ node, opset, shapeOf }: RuleInput): number {
  if (opset < 13) throw new UnsupportedGradient('before opset 13 it normalizes several axes as one');
  const axis = intAttribute(node, 'axis', -1);
  return axis < 0 ? axis + shapeOf(0).length : axis;
}
