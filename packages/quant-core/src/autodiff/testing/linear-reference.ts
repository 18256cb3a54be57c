import { elementCount, floatAttribute, intAttribute } from '../../ir/index.js';
import { broadcast } from '../shaped-builder.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { at, tensor64 } from './tensor64.js';

const gemm: ReferenceOp = ([a, b, c], node) => {
  const [transA, transB] = [intAttribute(node, 'transA', 0), intAttribute(node, 'transB', 0)];
  const [alpha, beta] = [floatAttribute(node, 'alpha', 1), floatAttribute(node, 'beta', 1)];
  const [rows, inner] = transA ? [a!.shape[1]!, a!.shape[0]!] : [a!.shape[0]!, a!.shape[1]!];
  const columns = b!.shape[transB ? 0 : 1]!;
  const output = tensor64([rows, columns], ([m, n]) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += at(a!, transA ? [k, m!] : [m!, k]) * at(b!, transB ? [n!, k] : [k, n!]);
    return alpha * sum + (c === undefined ? 0 : beta * at(c, [m!, n!]));
  });
  return [output];
};

/** numpy.matmul. */
const matMul: ReferenceOp = ([a, b]) => {
  const left: Tensor64 = a!.shape.length === 1 ? { ...a!, shape: [1, ...a!.shape] } : a!;
  const right: Tensor64 = b!.shape.length === 1 ? { ...b!, shape: [...b!.shape, 1] } : b!;
  const lead = broadcast(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const { data } = tensor64([...lead, left.shape.at(-2)!, right.shape.at(-1)!], (index) => {
    const [batch, m, n] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!];
    let sum = 0;
    for (let k = 0; k < left.shape.at(-1)!; k++)
      sum += at(left, inBatch(left, batch, m, k)) * at(right, inBatch(right, batch, k, n));
    return sum;
  });
  const rows = a!.shape.length === 1 ? [] : [left.shape.at(-2)!];
  const columns = b!.shape.length === 1 ? [] : [right.shape.at(-1)!];
  const shape = [...lead, ...rows, ...columns];
  if (elementCount(shape) !== data.length) throw new Error(`[${shape}] does not hold ${data.length} elements`);
  return [{ shape, data }];
};

/** The index of an element of a matrix; `at` broadcasts over sizes of 1, which rows and columns may have too. */
function inBatch({ shape }: Tensor64, batch: readonly number[], row: number, column: number): number[] {
  return [...batch.slice(batch.length - (shape.length - 2)), row, column];
}

export const LINEAR_REFERENCE: Readonly<Record<string, ReferenceOp>> = { Gemm: gemm, MatMul: matMul };
