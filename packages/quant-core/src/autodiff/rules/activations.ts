/**
 * Activation functions. [c] is 1 where c holds, else 0; products with it are faster than Where. Where a derivative can be
 * had from the output y it is: then x need not be kept, and the forward convolution keeps its activation fused.
 *
 *   Relu         x̄ = ȳ · [y > 0]
 *   LeakyRelu    x̄ = ȳ · (x > 0 ? 1 : α)
 *   PRelu        x̄ = ȳ · (x > 0 ? 1 : s)      s̄ = ȳ · min(x, 0), summed to the shape of s
 *   Clip         x̄ = ȳ · [y = x]              l̄ = Σ ȳ · [x < y]      h̄ = Σ ȳ · [x > y]
 *   Sigmoid      x̄ = ȳ · y(1 − y)
 *   Tanh         x̄ = ȳ · (1 − y²)
 *   HardSigmoid  x̄ = ȳ · α[0 < y < 1]
 *   HardSwish    x̄ = ȳ · (h + x/6 · [0 < h < 1])           y = x·h, h = hardSigmoid x
 *   Erf          x̄ = ȳ · 2/√π · e^(−x²)
 *   Gelu         x̄ = ȳ · (Φ(x) + s·e^(−s²)/√π)             s = x/√2, Φ(x) = (1 + erf s)/2
 *     tanh       x̄ = ȳ · (g + y(1 − g)·2u′)                 g = σ(2u), u = √(2/π)·(x + cx³), y = x·g
 *   Elu          x̄ = ȳ · (x > 0 ? 1 : y + α)
 *   Selu         x̄ = ȳ · (x > 0 ? γ : y + γα)
 *   Softplus     x̄ = ȳ · σ(x)
 *   Softsign     x̄ = ȳ · (1 − |y|)²
 *
 * At kinks: 0 at that of Relu, the slope of the negative side at those of LeakyRelu, PRelu, Elu and Selu, 1 at the bounds of
 * Clip, 0 at those of HardSigmoid.
 */
import { floatAttribute, floatValue, intValue, type Node, numberOfDtype, stringAttribute } from '../../ir/index.js';
import { type GradientRule, UnsupportedGradient } from '../rule.js';
import type { ShapedBuilder } from '../shaped-builder.js';

/** Steep enough that HardSigmoid is 1 for every positive number but the tiniest. */
const STEEP = 1e30;
/** Defaults of Selu, and the constant of the approximation of Gelu by tanh, as ONNX has them. */
const SELU_ALPHA = 1.6732631921768188;
const SELU_GAMMA = 1.0507010221481323;
const GELU_CUBIC = 0.044715;

/** min(1, max(0, αx + β)). */
function hardSigmoid(b: ShapedBuilder, x: string, alpha: number, beta: number): string {
  return b.unary('HardSigmoid', x, { alpha: floatValue(alpha), beta: floatValue(beta) });
}

/** [x > 0]. */
function positive(b: ShapedBuilder, x: string): string {
  return hardSigmoid(b, x, STEEP, 0);
}

/** [0 < y < 1], for y in 0 … 1. */
function inside(b: ShapedBuilder, y: string): string {
  return positive(b, b.binary('Mul', y, oneMinus(b, y)));
}

/** 1 or 0 for a condition. */
function indicator(b: ShapedBuilder, condition: string): string {
  return b.unary('Cast', condition, { to: intValue(numberOfDtype('float32')) });
}

function oneMinus(b: ShapedBuilder, x: string): string {
  return b.binary('Sub', b.scalar(1), x);
}

function square(b: ShapedBuilder, x: string): string {
  return b.binary('Mul', x, x);
}

/** A function of one input from its derivative. */
function pointwise(derivative: (b: ShapedBuilder, x: string, y: string, node: Node) => string): GradientRule {
  return ({ b, dy, node }) => [b.binary('Mul', dy, derivative(b, node.inputs[0]!, node.outputs[0]!, node))];
}

const leakyRelu = pointwise((b, x, y, node) => {
  const alpha = floatAttribute(node, 'alpha', 0.01);
  if (alpha < 0 || alpha > 1) return b.where(b.binary('Greater', x, b.scalar(0)), b.scalar(1), b.scalar(alpha));
  // [y > 0], but no less than α. For α = 0 the output is 0 where x is negative.
  return b.add('Clip', [positive(b, y), b.scalar(alpha)], b.shapeOf(x));
});

const prelu: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const [x, slope] = node.inputs as [string, string];
  const derivative = () => b.where(b.binary('Greater', x, b.scalar(0)), b.scalar(1), slope);
  const negative = () => b.binary('Min', x, b.scalar(0));
  return [
    wants(0) ? b.binary('Mul', dy, derivative()) : null,
    wants(1) ? b.sumTo(b.binary('Mul', dy, negative()), shapeOf(1)) : null,
  ];
};

const clip: GradientRule = ({ b, dy, node, opset, wants, shapeOf }) => {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const compared = (comparison: string) => indicator(b, b.binary(comparison, x, y));
  // Floats can be tested for equality since opset 11; before, 1 − steep · |x − y| that is cut off does it.
  const passed = () =>
    opset >= 11 ? compared('Equal') : hardSigmoid(b, b.unary('Abs', b.binary('Sub', x, y)), -STEEP, 1);
  return [
    wants(0) ? b.binary('Mul', dy, passed()) : null,
    wants(1) ? b.sumTo(b.binary('Mul', dy, compared('Less')), shapeOf(1)) : null,
    wants(2) ? b.sumTo(b.binary('Mul', dy, compared('Greater')), shapeOf(2)) : null,
  ];
};

const hardSwish = pointwise((b, x) => {
  const h = hardSigmoid(b, x, 1 / 6, 1 / 2);
  return b.binary('Add', h, b.scaled(b.binary('Mul', x, inside(b, h)), 1 / 6));
});

/** e^(−x²). */
function bell(b: ShapedBuilder, x: string): string {
  return b.unary('Exp', b.unary('Neg', square(b, x)));
}

const erf = pointwise((b, x) => b.scaled(bell(b, x), 2 / Math.sqrt(Math.PI)));

function exactGelu(b: ShapedBuilder, x: string): string {
  const s = b.scaled(x, Math.SQRT1_2);
  // An affine function in one operator: nothing is cut off, as erf is within −1 … 1.
  const phi = hardSigmoid(b, b.unary('Erf', s), 1 / 2, 1 / 2);
  return b.binary('Add', phi, b.scaled(b.binary('Mul', s, bell(b, s)), 1 / Math.sqrt(Math.PI)));
}

function tanhGelu(b: ShapedBuilder, x: string, y: string): string {
  const factor = 2 * Math.sqrt(2 / Math.PI);
  const polynomial = (cubic: number) => b.binary('Add', b.scaled(square(b, x), factor * cubic), b.scalar(factor));
  const g = b.unary('Sigmoid', b.binary('Mul', x, polynomial(GELU_CUBIC)));
  const rest = b.binary('Mul', b.binary('Mul', y, oneMinus(b, g)), polynomial(3 * GELU_CUBIC));
  return b.binary('Add', g, rest);
}

const gelu = pointwise((b, x, y, node) => {
  const approximate = stringAttribute(node, 'approximate', 'none');
  if (approximate === 'none') return exactGelu(b, x);
  if (approximate === 'tanh') return tanhGelu(b, x, y);
  throw new UnsupportedGradient(`its approximation is ${approximate}, known are none and tanh`);
});

/** `slope` where x is positive, y + shift elsewhere. */
function exponential(b: ShapedBuilder, x: string, y: string, slope: number, shift: number): string {
  return b.where(b.binary('Greater', x, b.scalar(0)), b.scalar(slope), b.binary('Add', y, b.scalar(shift)));
}

const elu = pointwise((b, x, y, node) => {
  const alpha = floatAttribute(node, 'alpha', 1);
  // min(y, 0) + 1 for y > −1 is an affine function that is cut off.
  return alpha === 1 ? hardSigmoid(b, y, 1, 1) : exponential(b, x, y, 1, alpha);
});

const selu = pointwise((b, x, y, node) => {
  const gamma = floatAttribute(node, 'gamma', SELU_GAMMA);
  return exponential(b, x, y, gamma, gamma * floatAttribute(node, 'alpha', SELU_ALPHA));
});

const hardSigmoidRule = pointwise((b, _x, y, node) => b.scaled(inside(b, y), floatAttribute(node, 'alpha', 0.2)));

export const ACTIVATIONS_RULES: Readonly<Record<string, GradientRule>> = {
  Relu: pointwise((b, _x, y) => positive(b, y)),
  LeakyRelu: leakyRelu,
  PRelu: prelu,
  Clip: clip,
  Sigmoid: pointwise((b, _x, y) => b.binary('Mul', y, oneMinus(b, y))),
  HardSigmoid: hardSigmoidRule,
  HardSwish: hardSwish,
  Tanh: pointwise((b, _x, y) => oneMinus(b, square(b, y))),
  Gelu: gelu,
  Erf: erf,
  Elu: elu,
  Selu: selu,
  Softplus: pointwise((b, x) => b.unary('Sigmoid', x)),
  Softsign: pointwise((b, _x, y) => square(b, oneMinus(b, b.unary('Abs', y)))),
};
