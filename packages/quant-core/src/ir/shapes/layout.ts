import { intAttribute, intsAttribute } from '../attribute-access.js';
import type { Dimension } from '../graph.js';
import { axisIn, broadcast, mapSize, multiply, productOf, type Shape } from './dimensions.js';
import { type Inferred, inferred, type ShapeRule, type ShapeRules, staticInts } from './rule.js';

/** Rearrangements: the same elements in another shape. A rank-1 integer tensor keeps its elements where it can. */

const reshape: ShapeRule = (rule) => {
  const x = rule.input(0);
  const target = rule.node.attributes.has('shape') ? intsAttribute(rule.node, 'shape', null) : rule.input(1).ints;
  if (target === null) {
    const rank = rule.input(1).shape?.[0];
    const unknown = typeof rank === 'number' && rank <= 64 ? new Array<Dimension>(rank).fill(null) : null;
    return [inferred(x.dtype, unknown)];
  }
  const keepsZero = intAttribute(rule.node, 'allowzero', 0) === 0;
  const copied = target.map((size, axis) => (size === 0 && keepsZero ? (x.shape?.[axis] ?? null) : size));
  const wildcard = copied.indexOf(-1);
  if (wildcard >= 0) copied[wildcard] = remaining(x.shape, copied);
  return [inferred(x.dtype, copied, copied.length <= 1 ? x.ints : null)];
};

/** What -1 stands for: the elements that the other sizes leave. Symbols on both sides cancel. */
function remaining(from: Shape | null, to: Shape): Dimension {
  if (from === null) return null;
  const open = [...from];
  const rest: Dimension[] = [];
  for (const size of to) {
    if (size === -1) continue;
    const match = typeof size === 'number' ? -1 : open.indexOf(size);
    if (size !== null && match >= 0) open.splice(match, 1);
    else rest.push(size);
  }
  const known = productOf(rest);
  const total = productOf(open);
  if (known === 1) return total;
  return typeof known === 'number' && known > 0 ? mapSize(total, (n) => n / known) : null;
}

const flatten: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  if (shape === null) return [inferred(dtype, [null, null])];
  const axis = intAttribute(rule.node, 'axis', 1);
  const split = axis < 0 ? axis + shape.length : axis;
  return [inferred(dtype, [productOf(shape.slice(0, split)), productOf(shape.slice(split))])];
};

const transpose: ShapeRule = (rule) => {
  const { dtype, shape, ints } = rule.input(0);
  if (shape === null) return [inferred(dtype, null)];
  const order = intsAttribute(rule.node, 'perm', null) ?? shape.map((_, axis) => shape.length - 1 - axis);
  return [
    inferred(
      dtype,
      order.map((axis) => shape[axis] ?? null),
      shape.length === 1 ? ints : null,
    ),
  ];
};

const squeeze: ShapeRule = (rule) => {
  const { dtype, shape, ints } = rule.input(0);
  const listed = rule.node.attributes.has('axes') || rule.hasInput(1);
  const axes = listed ? staticInts(rule, 'axes', 1) : null;
  if (shape === null || (listed && axes === null)) return [inferred(dtype, null)];
  // Without a list every 1 goes, which cannot be told while a size is unknown.
  if (!listed && shape.some((size) => typeof size !== 'number')) return [inferred(dtype, null)];
  const drop = new Set(axes?.map((axis) => axisIn(shape.length, axis)));
  const kept = shape.filter((size, axis) => (listed ? !drop.has(axis) : size !== 1));
  return [inferred(dtype, kept, kept.length <= 1 ? ints : null)];
};

const unsqueeze: ShapeRule = (rule) => {
  const { dtype, shape, ints } = rule.input(0);
  const axes = staticInts(rule, 'axes', 1);
  if (shape === null || axes === null) return [inferred(dtype, null)];
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => axisIn(rank, axis)));
  const rest = [...shape];
  const widened = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.shift() ?? null)));
  return [inferred(dtype, widened, rank <= 1 ? ints : null)];
};

const expand: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  return [inferred(dtype, broadcast([shape, rule.input(1).ints]))];
};

const tile: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const repeats = rule.input(1).ints;
  if (shape === null) return [inferred(dtype, null)];
  return [
    inferred(
      dtype,
      shape.map((size, axis) => multiply(size, repeats?.[axis] ?? null)),
    ),
  ];
};

const depthToSpace: ShapeRule = (rule) => [blocks(rule.input(0), intAttribute(rule.node, 'blocksize', 1), true)];
const spaceToDepth: ShapeRule = (rule) => [blocks(rule.input(0), intAttribute(rule.node, 'blocksize', 1), false)];

function blocks({ dtype, shape }: Inferred, block: number, toSpace: boolean): Inferred {
  if (shape?.length !== 4) return inferred(dtype, null);
  const [n, c, h, w] = shape as [Dimension, Dimension, Dimension, Dimension];
  const area = toSpace ? 1 / (block * block) : block * block;
  const side = toSpace ? block : 1 / block;
  return inferred(dtype, [
    n,
    mapSize(c, (size) => size * area),
    mapSize(h, (size) => size * side),
    mapSize(w, (size) => size * side),
  ]);
}

export const LAYOUT_RULES: ShapeRules = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
  Tile: tile,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
