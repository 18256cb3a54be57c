import { floatsAttribute, intsAttribute, stringAttribute } from '../attribute-access.js';
import type { Dimension } from '../graph.js';
import { mapSize, type Shape } from './dimensions.js';
import { inferred, type RuleInput, type ShapeRule, type ShapeRules } from './rule.js';

const resize: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  if (shape === null) return [inferred(dtype, null)];
  const axes = intsAttribute(
    rule.node,
    'axes',
    shape.map((_, axis) => axis),
  ).map((axis) => (axis < 0 ? axis + shape.length : axis));
  const sizes = sizesOf(rule, shape, axes);
  const isKnown = sizes?.length === axes.length;
  return [
    inferred(
      dtype,
      shape.map((size, axis) => (axes.includes(axis) ? (isKnown ? sizes[axes.indexOf(axis)]! : null) : size)),
    ),
  ];
};

/** The new sizes of the axes, as far as they are known. */
function sizesOf(rule: RuleInput, shape: Shape, axes: readonly number[]): readonly Dimension[] | null {
  // A kept aspect ratio reinterprets the sizes.
  const isStretched = stringAttribute(rule.node, 'keep_aspect_ratio_policy', 'stretch') === 'stretch';
  if (rule.hasInput(3)) return isStretched ? rule.input(3).ints : null;
  // Before opset 11 scales are the second input.
  const scales = rule.input(rule.opset < 11 ? 1 : 2).floats;
  const scaled = (size: Dimension, scale: number) =>
    scale === 1 ? size : mapSize(size, (known) => Math.floor(Math.fround(known * scale)));
  return scales?.map((scale, i) => scaled(shape[axes[i]!] ?? null, scale)) ?? null;
}

const upsample: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const scales = floatsAttribute(rule.node, 'scales', null);
  return [
    inferred(
      dtype,
      shape?.map((size, axis) => mapSize(size, (n) => Math.floor(n * (scales?.[axis] ?? Number.NaN)))) ?? null,
    ),
  ];
};

export const RESIZING_RULES: ShapeRules = { Resize: resize, Upsample: upsample };
