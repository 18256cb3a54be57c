/**
 * Interpolation along each axis, a linear map A of its own for each of them.
 *
 *   y = A x      x̄ = Aᵀ ȳ
 *
 * A has a row per output: the weights of the inputs around its source coordinate, one of 1 for `nearest`, two for
 * `linear`. Where `nearest` repeats every input of the spatial axes equally often, Aᵀ is a sum over blocks, as one
 * AveragePool; otherwise a product of matrices per axis.
 */
import {
  elementCount,
  intAttribute,
  intsAttribute,
  intsValue,
  type Node,
  readFloats,
  stringAttribute,
  tensorFromFloats,
} from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';
import type { ShapedBuilder } from '../../shaped-builder.js';

/** Of one axis. */
interface Resizing {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

/** An output of an axis is the sum of inputs · weights. */
type Row = readonly (readonly [input: number, weight: number])[];

export const resize: GradientRule = async (input) => {
  const { b, dy, node } = input;
  refuseOthers(node);
  const resized = (await resizedAxes(input)).map((axis) => ({ ...axis, rows: rowsOf(node, axis) }));
  const isBlocks = resized.every(({ axis, from, to, rows }) => axis >= 2 && areBlocks(rows, to / from));
  if (isBlocks && resized.length > 0) return [sumBlocks(b, dy, resized)];
  // The last axis first: its product is the fastest, and the others are smaller for it.
  return [resized.reduceRight((gradient, axis) => multiply(b, gradient, axis), dy)];
};

function refuseOthers(node: Node): void {
  const refuse = (attribute: string, value: string | number) => {
    throw new UnsupportedGradient(`${attribute} = ${value}`);
  };
  const mode = stringAttribute(node, 'mode', 'nearest');
  if (mode !== 'nearest' && mode !== 'linear') refuse('mode', mode);
  const coordinates = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  if (!Object.hasOwn(SOURCES, coordinates)) refuse('coordinate_transformation_mode', coordinates);
  const policy = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') refuse('keep_aspect_ratio_policy', policy);
  if (intAttribute(node, 'antialias', 0) !== 0 && mode === 'linear') refuse('antialias', 1);
}

/** Axes that are not left as they are. */
async function resizedAxes({ b, dy, node, shapeOf, constantOf }: RuleInput): Promise<Resizing[]> {
  const [from, to] = [shapeOf(0), b.shapeOf(dy)];
  const given = constantOf(2);
  const scales = given === null ? [] : await readFloats(given);
  const axes = intsAttribute(node, 'axes', null)?.map((axis) => (axis < 0 ? axis + from.length : axis));
  const isScaled = !node.inputs[3];
  return from.flatMap((size, axis) => {
    const ratio = to[axis]! / size;
    if (isScaled && scales.length === 0 && !Number.isInteger(ratio))
      throw new UnsupportedGradient('its scales are computed and not whole numbers');
    const scale = scales[axes === undefined ? axis : axes.indexOf(axis)] ?? ratio;
    return ratio === 1 && scale === 1 ? [] : [{ axis, from: size, to: to[axis]!, scale }];
  });
}

/** The source coordinate of an output. */
const SOURCES: Readonly<Record<string, (output: number, axis: Resizing) => number>> = {
  half_pixel: (o, { scale }) => (o + 0.5) / scale - 0.5,
  half_pixel_symmetric: (o, { from, to, scale }) => (from / 2) * (1 - to / (scale * from)) + (o + 0.5) / scale - 0.5,
  pytorch_half_pixel: (o, { to, scale }) => (to > 1 ? (o + 0.5) / scale - 0.5 : 0),
  align_corners: (o, { from, to }) => (to > 1 ? (o * (from - 1)) / (to - 1) : 0),
  asymmetric: (o, { scale }) => o / scale,
};

const ROUNDINGS: Readonly<Record<string, (source: number) => number>> = {
  round_prefer_floor: (source) => Math.ceil(source - 0.5),
  round_prefer_ceil: (source) => Math.floor(source + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

function rowsOf(node: Node, axis: Resizing): Row[] {
  const source = SOURCES[stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel')]!;
  const round = ROUNDINGS[stringAttribute(node, 'nearest_mode', 'round_prefer_floor')]!;
  const isLinear = stringAttribute(node, 'mode', 'nearest') === 'linear';
  const clamp = (at: number) => Math.min(Math.max(at, 0), axis.from - 1);
  return Array.from({ length: axis.to }, (_, o): Row => {
    const at = source(o, axis);
    if (!isLinear) return [[clamp(round(at)), 1]];
    const part = at - Math.floor(at);
    return [
      [clamp(Math.floor(at)), 1 - part],
      [clamp(Math.floor(at) + 1), part],
    ];
  });
}

function areBlocks(rows: readonly Row[], factor: number): boolean {
  return Number.isInteger(factor) && rows.every((row, o) => row.length === 1 && row[0]![0] === Math.floor(o / factor));
}

function sumBlocks(b: ShapedBuilder, dy: string, resized: readonly Resizing[]): string {
  const factors = b.shapeOf(dy).map(() => 1);
  for (const { axis, from, to } of resized) factors[axis] = to / from;
  const shape = b.shapeOf(dy).map((size, axis) => size / factors[axis]!);
  const block = intsValue(factors.slice(2));
  const means = b.add('AveragePool', [dy], shape, { kernel_shape: block, strides: block });
  return b.scaled(means, elementCount(factors));
}

/** Aᵀ along one axis. */
function multiply(b: ShapedBuilder, dy: string, { axis, from, to, rows }: Resizing & { rows: readonly Row[] }): string {
  const shape = b.shapeOf(dy);
  const weights = new Float32Array(to * from);
  const isLast = axis === shape.length - 1;
  for (const [o, row] of rows.entries())
    for (const [i, weight] of row) weights[isLast ? o * from + i : i * to + o]! += weight;
  const matrix = b.constant('weights', tensorFromFloats(isLast ? [to, from] : [from, to], weights));
  const lead = elementCount(shape.slice(0, axis));
  if (isLast) return b.reshape(b.matMul(b.reshape(dy, [lead, to]), matrix), shape.with(axis, from));
  const planes = b.reshape(dy, [lead, to, elementCount(shape.slice(axis + 1))]);
  return b.reshape(b.matMul(matrix, planes), shape.with(axis, from));
}
