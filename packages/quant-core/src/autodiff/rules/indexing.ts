/**
 * Elements that are picked by index or by condition.
 *
 *   Gather           x̄[index] += ȳ along an axis
 *     indices known and each once    what lies between zeros, or ȳ and a zero gathered by the inverse indices
 *     otherwise                      ScatterND that adds, with the axis in front
 *   GatherElements   ScatterElements that adds
 *   GatherND         ScatterND that adds; the indices of batch axes put in front of the given ones
 *   Where            ā = c ? ȳ : 0      b̄ = c ? 0 : ȳ, each summed to its shape. Not products with c: the gradient of
 *                    what is not chosen may be infinite or no number.
 *
 * Through rounding, comparisons, logic, indices and shapes nothing flows.
 */
import {
  elementCount,
  intAttribute,
  intValue,
  numberOfDtype,
  readInts,
  stringValue,
  tensorFromInt64,
} from '../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../rule.js';
import type { Shape, ShapedBuilder } from '../shaped-builder.js';
import { axisFromFront } from './static-ints.js';

const ADD = { reduction: stringValue('add') };

/** @throws UnsupportedGradient where scattering cannot add */
function zeros({ b, opset }: RuleInput, shape: Shape): string {
  if (opset < 16) throw new UnsupportedGradient('adding up at indices needs opset 16 or later');
  return b.expand(b.scalar(0), shape);
}

const gather: GradientRule = async (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  if (!wants(0)) return [null, null];
  const shape = shapeOf(0);
  const axis = axisFromFront(intAttribute(node, 'axis', 0), shape.length);
  const size = shape[axis]!;
  const [before, after] = [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis + 1))];
  const rows = b.reshape(dy, [before, elementCount(shapeOf(1)), after]);
  const known = (await knownIndices(input))?.map((index) => axisFromFront(index, size));
  const isUnique = known !== undefined && new Set(known).size === known.length;
  return [b.reshape(isUnique ? placeRows(b, rows, known, size) : addRows(input, rows, size), shape), null];
};

async function knownIndices({ b, node, constantOf }: RuleInput): Promise<readonly number[] | null> {
  const constant = constantOf(1);
  return constant === null ? b.statics.intsOf(node.inputs[1]!) : (await readInts(constant)).map(Number);
}

/** [before, K, after] → [before, size, after], row k at indices[k], which are different. */
function placeRows(b: ShapedBuilder, rows: string, indices: readonly number[], size: number): string {
  const [before, count, after] = b.shapeOf(rows) as [number, number, number];
  const start = indices[0] ?? 0;
  if (indices.every((index, k) => index === start + k)) return b.pad(rows, [0, start, 0], [0, size - start - count, 0]);
  // The row of zeros is behind the others, at -1.
  const inverse = new Array<number>(size).fill(-1);
  for (const [k, index] of indices.entries()) inverse[index] = k;
  const withZeros = b.pad(rows, [0, 0, 0], [0, count < size ? 1 : 0, 0]);
  return b.add('Gather', [withZeros, b.ints(inverse)], [before, size, after], { axis: intValue(1) });
}

/** [before, K, after] → [before, size, after], the sum of rows with the same index. */
function addRows(input: RuleInput, rows: string, size: number): string {
  const { b, node } = input;
  const [before, count, after] = b.shapeOf(rows) as [number, number, number];
  // An axis of 1 need not be moved in memory to change its place.
  const isFront = before === 1;
  const updates = isFront ? b.reshape(rows, [count, 1, after]) : b.transpose(rows, [1, 0, 2]);
  const indices = b.reshape(asInt64(b, node.inputs[1]!), [count, 1]);
  const shape = [size, before, after];
  const sums = b.add('ScatterND', [zeros(input, shape), indices, updates], shape, ADD);
  return isFront ? sums : b.transpose(sums, [1, 0, 2]);
}

function asInt64(b: ShapedBuilder, indices: string): string {
  if (b.statics.dtypeOf(indices) === 'int64') return indices;
  return b.unary('Cast', indices, { to: intValue(numberOfDtype('int64')) });
}

const gatherElements: GradientRule = (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  if (!wants(0)) return [null, null];
  const shape = shapeOf(0);
  const axis = intValue(intAttribute(node, 'axis', 0));
  return [b.add('ScatterElements', [zeros(input, shape), node.inputs[1]!, dy], shape, { axis, ...ADD }), null];
};

const gatherNd: GradientRule = (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  if (!wants(0)) return [null, null];
  const shape = shapeOf(0);
  const indices = withBatchIndices(b, node.inputs[1]!, intAttribute(node, 'batch_dims', 0));
  return [b.add('ScatterND', [zeros(input, shape), indices, dy], shape, ADD), null];
};

/** Indices [..., depth] → [..., batchRank + depth]: in front the place of each along the leading axes. */
function withBatchIndices(b: ShapedBuilder, indices: string, batchRank: number): string {
  if (batchRank === 0) return indices;
  const places = b.shapeOf(indices).slice(0, -1);
  const strides = places.map((_, axis) => elementCount(places.slice(axis + 1)));
  const own = Array.from({ length: elementCount(places) }, (_, flat) =>
    strides.slice(0, batchRank).map((stride, axis) => Math.floor(flat / stride) % places[axis]!),
  );
  const constant = b.constant('batch_indices', tensorFromInt64([...places, batchRank], own.flat()));
  return b.concat([constant, indices], places.length);
}

const where: GradientRule = ({ b, dy, node, wants, shapeOf }) => {
  const [condition, zero] = [node.inputs[0]!, b.scalar(0)];
  return [
    null,
    wants(1) ? b.sumTo(b.where(condition, dy, zero), shapeOf(1)) : null,
    wants(2) ? b.sumTo(b.where(condition, zero, dy), shapeOf(2)) : null,
  ];
};

const oneHot: GradientRule = ({ wants }) => {
  if (wants(2)) throw new UnsupportedGradient('its values are computed or learned');
  return [null, null, null];
};

const nothing: GradientRule = ({ node }) => node.inputs.map(() => null);

const WITHOUT_GRADIENT = [
  'And',
  'ArgMax',
  'ArgMin',
  'Ceil',
  'ConstantOfShape',
  'Equal',
  'Floor',
  'Greater',
  'GreaterOrEqual',
  'IsInf',
  'IsNaN',
  'Less',
  'LessOrEqual',
  'NonZero',
  'Not',
  'Or',
  'Round',
  'Shape',
  'Sign',
  'Size',
  'Xor',
];

export const INDEXING_RULES: Readonly<Record<string, GradientRule>> = {
  ...Object.fromEntries(WITHOUT_GRADIENT.map((op) => [op, nothing])),
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  Where: where,
  OneHot: oneHot,
};
