import { floatsAttribute, intAttribute } from '../attribute-access.js';
import { mapSize } from './dimensions.js';
import { inferred, type ShapeRule, type ShapeRules } from './rule.js';

const resize: ShapeRule = (rule) => {
  const { dtype, shape } = rule.input(0);
  const sizes = rule.input(3).ints;
  if (shape === null) return [inferred(dtype, null)];
  // `axes` and a kept aspect ratio reinterpret the sizes; scales are floats, which are not followed.
  const plain = !rule.node.attributes.has('axes') && intAttribute(rule.node, 'keep_aspect_ratio_policy', 0) === 0;
  const known = rule.hasInput(3) && plain && sizes?.length === shape.length;
  return [inferred(dtype, known ? sizes! : shape.map(() => null))];
};

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
