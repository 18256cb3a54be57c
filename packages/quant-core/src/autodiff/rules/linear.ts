/**
 * Matrix products. With A′, B′ for what `transA` and `transB` make of A and B:
 *
 *   Gemm     Y = α A′ B′ + β C     Ā′ = α Ȳ B′ᵀ     B̄′ = α A′ᵀ Ȳ     C̄ = β Ȳ, summed to the shape of C
 *   MatMul   Y = A B               Ā  = Ȳ Bᵀ        B̄  = Aᵀ Ȳ        each summed over the axes that it was broadcast along
 *
 * Where one operand of MatMul is a single matrix, its gradient sums over all matrices of the other. That sum is the inner
 * axis of one large product, of Ȳ and the other operand with their matrices laid in a row:
 *
 *   B one matrix    B̄ [K, N] = Σₗ Aₗᵀ Ȳₗ = [A₀; A₁; …]ᵀ [Ȳ₀; Ȳ₁; …]       rows below each other: a view
 *   A one matrix    Ā [M, K] = Σₗ Ȳₗ Bₗᵀ = [Ȳ₀ Ȳ₁ …] [B₀ B₁ …]ᵀ          columns beside each other: one transposition each
 */
import { elementCount, floatAttribute, intAttribute, intValue } from '../../ir/index.js';
import type { GradientRule, RuleInput } from '../rule.js';
import type { Shape, ShapedBuilder } from '../shaped-builder.js';

type Operand = readonly [value: string, isTransposed: boolean];

/** One product of matrices, each as it is or transposed. */
function product(b: ShapedBuilder, [left, transA]: Operand, [right, transB]: Operand, alpha = 1): string {
  const shape = [b.shapeOf(left)[transA ? 1 : 0]!, b.shapeOf(right)[transB ? 0 : 1]!];
  return b.add('Gemm', [left, right], shape, {
    ...(transA && { transA: intValue(1) }),
    ...(transB && { transB: intValue(1) }),
    ...(alpha !== 1 && { alpha: { kind: 'float', value: alpha } }),
  });
}

const gemm: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const [left, right] = node.inputs as [string, string];
  const [transA, transB] = [intAttribute(node, 'transA', 0) !== 0, intAttribute(node, 'transB', 0) !== 0];
  const alpha = floatAttribute(node, 'alpha', 1);
  const multiply = (x: Operand, y: Operand) => product(b, x, y, alpha);
  const gradientA = () => (transA ? multiply([right, transB], [dy, true]) : multiply([dy, false], [right, !transB]));
  const gradientB = () => (transB ? multiply([dy, true], [left, transA]) : multiply([left, !transA], [dy, false]));
  return [
    wants(0) ? gradientA() : null,
    wants(1) ? gradientB() : null,
    wants(2) ? b.scaled(b.sumTo(dy, shapeOf(2)), floatAttribute(node, 'beta', 1)) : null,
  ];
};

/** Operands of a MatMul as matrices: vectors have got the axis that MatMul adds and takes away again. */
interface Matrices {
  readonly b: ShapedBuilder;
  readonly left: string;
  readonly right: string;
  readonly dy: string;
}

const matMul: GradientRule = (input) => {
  const { b, wants, shapeOf } = input;
  const matrices = asMatrices(input);
  return [
    wants(0) ? b.reshape(leftGradient(matrices), shapeOf(0)) : null,
    wants(1) ? b.reshape(rightGradient(matrices), shapeOf(1)) : null,
  ];
};

function asMatrices({ b, dy, node, shapeOf }: RuleInput): Matrices {
  const [a, c] = [shapeOf(0), shapeOf(1)];
  const left = a.length === 1 ? [1, ...a] : a;
  const right = c.length === 1 ? [...c, 1] : c;
  const lead = b.shapeOf(dy).slice(0, Math.max(left.length, right.length) - 2);
  return {
    b,
    left: b.reshape(node.inputs[0]!, left),
    right: b.reshape(node.inputs[1]!, right),
    dy: b.reshape(dy, [...lead, left.at(-2)!, right.at(-1)!]),
  };
}

function leftGradient({ b, left, right, dy }: Matrices): string {
  if (isOneMatrix(b.shapeOf(right))) return product(b, [stacked(b, dy), false], [stacked(b, right), true]);
  if (isOneMatrix(b.shapeOf(left))) return product(b, [sideBySide(b, dy), false], [sideBySide(b, right), true]);
  return b.sumTo(b.matMul(dy, b.matrixTranspose(right)), b.shapeOf(left));
}

function rightGradient({ b, left, right, dy }: Matrices): string {
  if (isOneMatrix(b.shapeOf(right))) return product(b, [stacked(b, left), true], [stacked(b, dy), false]);
  return b.sumTo(b.matMul(b.matrixTranspose(left), dy), b.shapeOf(right));
}

function isOneMatrix(shape: Shape): boolean {
  return elementCount(shape.slice(0, -2)) === 1;
}

/** [L, rows, columns] as [L · rows, columns]. */
function stacked(b: ShapedBuilder, x: string): string {
  const shape = b.shapeOf(x);
  return b.reshape(x, [elementCount(shape.slice(0, -1)), shape.at(-1)!]);
}

/** [L, rows, columns] as [rows, L · columns]. */
function sideBySide(b: ShapedBuilder, x: string): string {
  const shape = b.shapeOf(x);
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  const matrices = elementCount(shape.slice(0, -2));
  const together = b.transpose(b.reshape(x, [matrices, rows, columns]), [1, 0, 2]);
  return b.reshape(together, [rows, matrices * columns]);
}

export const LINEAR_RULES: Readonly<Record<string, GradientRule>> = { Gemm: gemm, MatMul: matMul };
