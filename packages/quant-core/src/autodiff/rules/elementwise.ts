/**
 * Arithmetic on two tensors, broadcast, and on one. Where an input was broadcast its gradient is summed back to its shape.
 *
 *   y = a + b        ā = ȳ            b̄ = ȳ
 *   y = a − b        ā = ȳ            b̄ = −ȳ
 *   y = a · b        ā = ȳ · b        b̄ = ȳ · a
 *   y = a / b        ā = ȳ / b        b̄ = −ȳ · y / b
 *   y = aᵇ           ā = ȳ · b · aᵇ⁻¹  b̄ = ȳ · y · ln a      (b̄ where a > 0)
 *   y = √x           x̄ = ȳ / 2y
 *   y = eˣ           x̄ = ȳ · y
 *   y = ln x         x̄ = ȳ / x
 *   y = 1/x          x̄ = −ȳ · y²
 *   y = |x|          x̄ = ȳ · sign x
 */
import type { GradientRule, RuleInput } from '../rule.js';

/** A rule of two inputs from their partial gradients in the shape of the output. */
function binary(partials: (input: RuleInput) => readonly [a: () => string, b: () => string]): GradientRule {
  return (input) => {
    const { b, wants, shapeOf } = input;
    return partials(input).map((partial, i) => (wants(i) ? b.sumTo(partial(), shapeOf(i)) : null));
  };
}

const add = binary(({ dy }) => [() => dy, () => dy]);
const sub = binary(({ b, dy }) => [() => dy, () => b.unary('Neg', dy)]);
const mul = binary(({ b, dy, node: { inputs } }) => [
  () => b.binary('Mul', dy, inputs[1]!),
  () => b.binary('Mul', dy, inputs[0]!),
]);
const div = binary(({ b, dy, node: { inputs, outputs } }) => [
  () => b.binary('Div', dy, inputs[1]!),
  () => b.unary('Neg', b.binary('Mul', dy, b.binary('Div', outputs[0]!, inputs[1]!))),
]);
const pow = binary(({ b, dy, node: { inputs, outputs } }) => {
  const [base, exponent] = inputs as [string, string];
  return [
    () => {
      const lowered = b.binary('Pow', base, b.binary('Sub', exponent, b.scalar(1)));
      return b.binary('Mul', dy, b.binary('Mul', exponent, lowered));
    },
    () => b.binary('Mul', dy, b.binary('Mul', outputs[0]!, b.unary('Log', base))),
  ];
});

/** A rule of one input. */
function unary(gradient: (input: RuleInput, x: string, y: string) => string): GradientRule {
  return (input) => [gradient(input, input.node.inputs[0]!, input.node.outputs[0]!)];
}

const sqrt = unary(({ b, dy }, _x, y) => b.binary('Div', b.scaled(dy, 0.5), y));
const exp = unary(({ b, dy }, _x, y) => b.binary('Mul', dy, y));
const log = unary(({ b, dy }, x) => b.binary('Div', dy, x));
const neg = unary(({ b, dy }) => b.unary('Neg', dy));
const abs = unary(({ b, dy }, x) => b.binary('Mul', dy, b.unary('Sign', x)));
const reciprocal = unary(({ b, dy }, _x, y) => b.unary('Neg', b.binary('Mul', dy, b.binary('Mul', y, y))));

export const ELEMENTWISE_RULES: Readonly<Record<string, GradientRule>> = {
  Add: add,
  Sub: sub,
  Mul: mul,
  Div: div,
  Pow: pow,
  Sqrt: sqrt,
  Exp: exp,
  Log: log,
  Neg: neg,
  Abs: abs,
  Reciprocal: reciprocal,
};
