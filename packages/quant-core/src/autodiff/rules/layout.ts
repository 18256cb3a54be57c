/**
 * Operators that move, repeat or leave out elements: linear, so that the gradient of the input is the transposed map of ȳ.
 *
 *   Reshape, Flatten, Squeeze, Unsqueeze    the same elements in the shape of x
 *   Identity, Dropout that drops nothing    ȳ
 *   Cast, CastLike                          ȳ in the type of x; nothing flows from or to integers
 *   Transpose                               by the inverse permutation
 *   SpaceToDepth ↔ DepthToSpace             each other; the CRD order by a transposition
 *   Expand                                  the sum over what was broadcast
 *   Tile                                    [r₀, n₀, r₁, n₁, …] summed over the repeats r
 *   Concat, Split, Slice                    layout/parts.ts
 *   Pad                                     layout/pad.ts
 */
import {
  type DataType,
  intAttribute,
  intsAttribute,
  intValue,
  isFloat,
  numberOfDtype,
  stringAttribute,
} from '../../ir/index.js';
import { type GradientRule, UnsupportedGradient } from '../rule.js';
import { pad } from './layout/pad.js';
import { concat, slice, split } from './layout/parts.js';

const view: GradientRule = ({ b, dy, shapeOf }) => [b.reshape(dy, shapeOf(0))];

const identity: GradientRule = ({ dy }) => [dy];

const dropout: GradientRule = ({ b, dy, node }) => {
  const mode = node.inputs[2] ?? '';
  if (mode !== '' && b.statics.intsOf(mode)?.[0] !== 0) throw new UnsupportedGradient('its training_mode is not false');
  return [dy];
};

const cast: GradientRule = ({ b, dy, node }) => {
  const [from, to] = [node.inputs[0]!, node.outputs[0]!].map((value) => b.statics.dtypeOf(value)) as [
    DataType,
    DataType,
  ];
  if (from === 'undefined') throw new UnsupportedGradient('the element type of its input is not known');
  if (!isFloat(from) || !isFloat(to)) return [null];
  return [from === to ? dy : b.unary('Cast', dy, { to: intValue(numberOfDtype(from)) })];
};

const transpose: GradientRule = ({ b, dy, node, shapeOf }) => {
  const axes = shapeOf(0).map((_, axis) => axis);
  const perm = intsAttribute(node, 'perm', axes.toReversed());
  return [
    b.transpose(
      dy,
      axes.map((axis) => perm.indexOf(axis)),
    ),
  ];
};

const expand: GradientRule = ({ b, dy, shapeOf }) => [b.sumTo(dy, shapeOf(0))];

const tile: GradientRule = ({ b, dy, shapeOf }) => {
  const shape = shapeOf(0);
  const repeats = b.shapeOf(dy).map((size, axis) => size / shape[axis]!);
  const split = shape.flatMap((size, axis) => (repeats[axis] === 1 ? [size] : [repeats[axis]!, size]));
  // Where the repeats of an axis stand: behind the axes before it and their repeats.
  const repeated = repeats.map((count) => count !== 1);
  const axes = repeated.flatMap((is, axis) => (is ? [axis + repeated.slice(0, axis).filter(Boolean).length] : []));
  return [b.reshape(b.sum(b.reshape(dy, split), axes), shape)];
};

const spaceToDepth: GradientRule = ({ b, dy, node, shapeOf }) => {
  return [b.add('DepthToSpace', [dy], shapeOf(0), { blocksize: intValue(intAttribute(node, 'blocksize', 1)) })];
};

const depthToSpace: GradientRule = ({ b, dy, node, shapeOf }) => {
  const block = intAttribute(node, 'blocksize', 1);
  const [n, c, h, w] = shapeOf(0) as [number, number, number, number];
  if (stringAttribute(node, 'mode', 'DCR') === 'DCR')
    return [b.add('SpaceToDepth', [dy], [n, c, h, w], { blocksize: intValue(block) })];
  const blocks = b.reshape(dy, [n, c / block ** 2, h, block, w, block]);
  return [b.reshape(b.transpose(blocks, [0, 1, 3, 5, 2, 4]), [n, c, h, w])];
};

export const LAYOUT_RULES: Readonly<Record<string, GradientRule>> = {
  Reshape: view,
  Flatten: view,
  Squeeze: view,
  Unsqueeze: view,
  Identity: identity,
  Dropout: dropout,
  Cast: cast,
  CastLike: cast,
  Transpose: transpose,
  Expand: expand,
  Tile: tile,
  SpaceToDepth: spaceToDepth,
  DepthToSpace: depthToSpace,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
};
