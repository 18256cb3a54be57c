/**
 * LayerNormalization, InstanceNormalization and GroupNormalization: rows of K elements are normalized by their own mean and
 * variance. A row is what lies behind an axis, a channel of an image, or a group of channels.
 *
 *   x̂ = (x − mean x) r,  r = 1 / √(var x + ε),  y = γ x̂ + β     γ̄ = Σ ȳ x̂,  β̄ = Σ ȳ, over what γ and β are repeated along
 *
 *   with g = γ ȳ     x̄ = r (g − mean g − x̂ mean(g x̂))           means over the row
 *
 * x̂ and r are two outputs of one LayerNormalization without scale, whichever of the three it was.
 */
import { elementCount, floatAttribute, floatValue, intAttribute, intValue } from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';
import type { Shape, ShapedBuilder } from '../../shaped-builder.js';
import { once } from './once.js';

interface Rows {
  /** x̂, in the shape of x. */
  readonly normalized: string;
  /** r, the axes of a row with size 1. */
  readonly reciprocal: string;
  readonly axes: readonly number[];
}

export const layerNormalization: GradientRule = (input) => {
  if (input.gradientOf(1) !== null || input.gradientOf(2) !== null)
    throw new UnsupportedGradient('the loss depends on its outputs Mean or InvStdDev');
  const { b, dy, node, wants, shapeOf } = input;
  const [x, scale] = node.inputs as [string, string];
  const rank = shapeOf(0).length;
  const axis = intAttribute(node, 'axis', -1);
  const rows = once(() => normalizedRows(input, x, axis < 0 ? axis + rank : axis));
  return [
    wants(0) ? rowGradient(b, b.binary('Mul', dy, scale), rows()) : null,
    wants(1) ? b.sumTo(b.binary('Mul', dy, rows().normalized), shapeOf(1)) : null,
    wants(2) ? b.sumTo(dy, shapeOf(2)) : null,
  ];
};

export const instanceNormalization: GradientRule = (input) => groups(input, input.shapeOf(0)[1]!);

export const groupNormalization: GradientRule = (input) => groups(input, intAttribute(input.node, 'num_groups', 1));

/** Scale and bias have one element per channel, or (GroupNormalization before opset 21) per group. */
function groups(input: RuleInput, groupCount: number): (string | null)[] {
  const { b, node, wants, shapeOf } = input;
  const [x, scale] = node.inputs as [string, string];
  const shape = shapeOf(0);
  const rowsShape = [shape[0]! * groupCount, elementCount(shape.slice(1)) / groupCount];
  const parameters = shapeOf(1)[0]!;
  const perParameter = [shape[0]!, parameters, elementCount(shape.slice(1)) / parameters];
  const dy = b.reshape(input.dy, perParameter);
  const rows = once(() => normalizedRows(input, b.reshape(x, rowsShape), 1));
  const gradient = () => {
    const scaled = b.binary('Mul', dy, b.reshape(scale, [parameters, 1]));
    return b.reshape(rowGradient(b, b.reshape(scaled, rowsShape), rows()), shape);
  };
  const gain = () => b.sum(b.binary('Mul', dy, b.reshape(rows().normalized, perParameter)), [0, 2]);
  return [wants(0) ? gradient() : null, wants(1) ? gain() : null, wants(2) ? b.sum(dy, [0, 2]) : null];
}

function normalizedRows({ b, node, opset }: RuleInput, x: string, axis: number): Rows {
  if (opset < 17)
    throw new UnsupportedGradient('its gradient is written with LayerNormalization, which is new in opset 17');
  const shape = b.shapeOf(x);
  const statistics: Shape = shape.map((size, i) => (i < axis ? size : 1));
  const attributes = { axis: intValue(axis), epsilon: floatValue(floatAttribute(node, 'epsilon', 1e-5)) };
  const inputs = [x, b.filled(shape.slice(axis), 1)];
  const [normalized, , reciprocal] = b.addAll(
    'LayerNormalization',
    inputs,
    [shape, statistics, statistics],
    attributes,
  );
  return { normalized: normalized!, reciprocal: reciprocal!, axes: [...shape.keys()].slice(axis) };
}

/** r (g − mean g − x̂ mean(g x̂)). */
function rowGradient(b: ShapedBuilder, g: string, { normalized, reciprocal, axes }: Rows): string {
  const alongX = b.mean(b.binary('Mul', g, normalized), axes, true);
  const centred = b.binary('Sub', g, b.mean(g, axes, true));
  return b.binary('Mul', b.binary('Sub', centred, b.binary('Mul', normalized, alongX)), reciprocal);
}
