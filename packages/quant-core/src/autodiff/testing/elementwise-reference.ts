import type { ReferenceOp } from './reference.js';
import { map64, zip64 } from './tensor64.js';

const binary =
  (f: (a: number, b: number) => number): ReferenceOp =>
  ([a, b]) => [zip64(a!, b!, f)];

const unary =
  (f: (x: number) => number): ReferenceOp =>
  ([x]) => [map64(x!, f)];

export const ELEMENTWISE_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Pow: binary((a, b) => a ** b),
  Sqrt: unary(Math.sqrt),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Reciprocal: unary((x) => 1 / x),
};
