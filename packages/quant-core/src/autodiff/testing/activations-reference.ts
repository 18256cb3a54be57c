import { floatAttribute, type Node, stringAttribute } from '../../ir/index.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { map64, zip64 } from './tensor64.js';

const unary =
  (f: (x: number, node: Node) => number): ReferenceOp =>
  ([x], node) => [map64(x!, (value) => f(value, node))];

/** By its power series, to the last digits for |x| < 3. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 60; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

function gelu(x: number, node: Node): number {
  if (stringAttribute(node, 'approximate', 'none') === 'none') return 0.5 * x * (1 + erf(x / Math.SQRT2));
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

const clip: ReferenceOp = ([x, low, high], node) => {
  const bound = (given: Tensor64 | undefined, name: string, none: number) =>
    given?.data[0] ?? floatAttribute(node, name, none);
  const [min, max] = [bound(low, 'min', -Infinity), bound(high, 'max', Infinity)];
  return [map64(x!, (value) => Math.min(Math.max(value, min), max))];
};

const hardSigmoid = (x: number, alpha: number, beta: number) => Math.max(0, Math.min(1, alpha * x + beta));

function selu(x: number, node: Node): number {
  const alpha = floatAttribute(node, 'alpha', 1.6732631921768188);
  return floatAttribute(node, 'gamma', 1.0507010221481323) * (x > 0 ? x : alpha * Math.expm1(x));
}

export const ACTIVATIONS_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  Relu: unary((x) => Math.max(x, 0)),
  LeakyRelu: unary((x, node) => (x < 0 ? floatAttribute(node, 'alpha', 0.01) * x : x)),
  PRelu: ([x, slope]) => [zip64(x!, slope!, (value, s) => (value < 0 ? s * value : value))],
  Clip: clip,
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  HardSigmoid: unary((x, node) =>
    hardSigmoid(x, floatAttribute(node, 'alpha', 0.2), floatAttribute(node, 'beta', 0.5)),
  ),
  HardSwish: unary((x) => x * hardSigmoid(x, 1 / 6, 0.5)),
  Tanh: unary(Math.tanh),
  Gelu: unary(gelu),
  Erf: unary(erf),
  Elu: unary((x, node) => (x < 0 ? floatAttribute(node, 'alpha', 1) * Math.expm1(x) : x)),
  Selu: unary(selu),
  Softplus: unary((x) => Math.log1p(Math.exp(x))),
  Softsign: unary((x) => x / (1 + Math.abs(x))),
};
