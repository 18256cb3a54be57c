/**
 * Reductions over axes, and over several inputs. ^ stands for what was reduced, laid out over x again: its axes kept with
 * size 1, and broadcast.
 *
 *   y = Σ x            x̄ = ȳ^
 *   y = Σ x / n        x̄ = (ȳ / n)^
 *   y = Σ x²           x̄ = x · (2 ȳ)^
 *   y = √(Σ x²)        x̄ = x · (ȳ / y)^          0 where y is
 *   y = max x, min x   x̄ = (ȳ / count)^ where x = y^, 0 elsewhere: the elements that are the extreme, as many as count
 *                      says, share the gradient equally
 *
 *   y = Σᵢ xᵢ          x̄ᵢ = ȳ                     Mean of n inputs: ȳ / n; each summed to the shape of its input
 *   y = max(a, b)      ā = s · ȳ,  b̄ = ȳ − ā      s = clip(10³⁰ (a − b) + ½, 0, 1): 1 where a is larger, 0 where b is, ½
 *                                                  where they are equal and share; min: of (b − a)
 *
 * s is one HardSigmoid: about half the time of comparing and selecting. Infinities of one sign in both give NaN.
 */
import { elementCount, floatValue, intAttribute, intsAttribute, intValue, readInts } from '../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../rule.js';
import type { Shape } from '../shaped-builder.js';

const FLOAT32 = 1;
/** Norms below are taken for this: squares of such elements are 0 in float32 as well. */
const SMALLEST_NORM = 1e-30;

/** What a rule of a reduction sees: ȳ and y have the reduced axes with size 1. */
interface Reduction extends Pick<RuleInput, 'b'> {
  readonly x: string;
  readonly y: () => string;
  readonly dy: string;
  /** At least 0. */
  readonly axes: readonly number[];
  readonly shape: Shape;
}

function reduction(gradient: (reduced: Reduction) => string): GradientRule {
  return async (input) => {
    const { b, node, shapeOf } = input;
    const shape = shapeOf(0);
    const axes = await reducedAxes(input);
    const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const y = () => b.reshape(node.outputs[0]!, kept);
    return [gradient({ b, x: node.inputs[0]!, y, dy: b.reshape(input.dy, kept), axes, shape })];
  };
}

/** From the attribute or, since 13 (ReduceSum) and 18 (the others), the second input. */
async function reducedAxes({ node, shapeOf, constantOf }: RuleInput): Promise<readonly number[]> {
  const rank = shapeOf(0).length;
  const constant = constantOf(1);
  if (constant === null && (node.inputs[1] ?? '') !== '')
    throw new UnsupportedGradient(`the axes ${node.inputs[1]} are not a constant`);
  const listed = constant === null ? intsAttribute(node, 'axes', []) : (await readInts(constant)).map(Number);
  if (listed.length > 0) return listed.map((axis) => (axis < 0 ? axis + rank : axis));
  return intAttribute(node, 'noop_with_empty_axes', 0) === 1 ? [] : [...shapeOf(0).keys()];
}

const sum = reduction(({ b, dy, shape }) => b.expand(dy, shape));

const mean = reduction(({ b, dy, axes, shape }) => {
  const count = elementCount(axes.map((axis) => shape[axis]!));
  return b.expand(b.scaled(dy, 1 / count), shape);
});

const sumSquare = reduction(({ b, x, dy }) => b.binary('Mul', x, b.scaled(dy, 2)));

const norm = reduction(({ b, x, y, dy }) => {
  const safe = b.binary('Max', y(), b.scalar(SMALLEST_NORM));
  return b.binary('Mul', x, b.binary('Div', dy, safe));
});

const extreme = reduction(({ b, x, y, dy, axes }) => {
  const isExtreme = b.binary('Equal', x, y());
  const count = b.sum(b.unary('Cast', isExtreme, { to: intValue(FLOAT32) }), axes, true);
  return b.where(isExtreme, b.binary('Div', dy, count), b.scalar(0));
});

/** Sum and Mean of inputs, which are broadcast. */
function average(factorOf: (count: number) => number): GradientRule {
  return ({ b, dy, node, wants, shapeOf }) => {
    const share = b.scaled(dy, factorOf(node.inputs.length));
    return node.inputs.map((_, i) => (wants(i) ? b.sumTo(share, shapeOf(i)) : null));
  };
}

/** Max and Min of two inputs, which are broadcast. */
function larger(order: readonly [number, number]): GradientRule {
  return ({ b, dy, node, wants, shapeOf }) => {
    const { inputs } = node;
    if (inputs.length === 1) return [dy];
    if (inputs.length > 2)
      throw new UnsupportedGradient(`it has ${inputs.length} inputs, of which at most 2 are supported`);
    const [above, below] = order.map((i) => inputs[i]!) as [string, string];
    const share = b.unary('HardSigmoid', b.binary('Sub', above, below), {
      alpha: floatValue(1e30),
      beta: floatValue(0.5),
    });
    const first = b.binary('Mul', dy, share);
    return [
      wants(0) ? b.sumTo(first, shapeOf(0)) : null,
      wants(1) ? b.sumTo(b.binary('Sub', dy, first), shapeOf(1)) : null,
    ];
  };
}

export const REDUCTIONS_RULES: Readonly<Record<string, GradientRule>> = {
  ReduceSum: sum,
  ReduceMean: mean,
  ReduceSumSquare: sumSquare,
  ReduceL2: norm,
  ReduceMax: extreme,
  ReduceMin: extreme,
  Sum: average(() => 1),
  Mean: average((count) => 1 / count),
  Max: larger([0, 1]),
  Min: larger([1, 0]),
};
