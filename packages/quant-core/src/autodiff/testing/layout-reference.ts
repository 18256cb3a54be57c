import { elementCount, intAttribute, intsAttribute, type Node, stringAttribute } from '../../ir/index.js';
import { broadcast, type Shape } from '../shaped-builder.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { at, tensor64 } from './tensor64.js';

/** Integers of an attribute or, where there is none, of an input. */
function ints(node: Node, name: string, input: Tensor64 | undefined): readonly number[] | null {
  return intsAttribute(node, name, null) ?? (input === undefined ? null : Array.from(input.data));
}

const fromFront = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
const viewed = ({ data }: Tensor64, shape: Shape): Tensor64[] => [{ shape, data: data.slice() }];

const reshape: ReferenceOp = ([x, target]) => {
  const sizes = Array.from(target!.data, (size, axis) => (size === 0 ? x!.shape[axis]! : size));
  const rest = elementCount(x!.shape) / elementCount(sizes.filter((size) => size !== -1));
  return viewed(
    x!,
    sizes.map((size) => (size === -1 ? rest : size)),
  );
};

const flatten: ReferenceOp = ([x], node) => {
  const axis = fromFront(intAttribute(node, 'axis', 1), x!.shape.length);
  return viewed(x!, [elementCount(x!.shape.slice(0, axis)), elementCount(x!.shape.slice(axis))]);
};

const squeeze: ReferenceOp = ([x, given], node) => {
  const axes = ints(node, 'axes', given)?.map((axis) => fromFront(axis, x!.shape.length));
  return viewed(
    x!,
    x!.shape.filter((size, axis) => (axes === undefined ? size !== 1 : !axes.includes(axis))),
  );
};

const unsqueeze: ReferenceOp = ([x, given], node) => {
  const axes = ints(node, 'axes', given)!;
  const rank = x!.shape.length + axes.length;
  const sizes = [...x!.shape];
  const added = axes.map((axis) => fromFront(axis, rank));
  return viewed(
    x!,
    Array.from({ length: rank }, (_, axis) => (added.includes(axis) ? 1 : sizes.shift()!)),
  );
};

const transpose: ReferenceOp = ([x], node) => {
  const perm = intsAttribute(node, 'perm', x!.shape.map((_, axis) => axis).reverse());
  const shape = perm.map((axis) => x!.shape[axis]!);
  return [
    tensor64(shape, (index) =>
      at(
        x!,
        x!.shape.map((_, axis) => index[perm.indexOf(axis)]!),
      ),
    ),
  ];
};

const expand: ReferenceOp = ([x, target]) => {
  return [tensor64(broadcast(x!.shape, Array.from(target!.data)), (index) => at(x!, index))];
};

const tile: ReferenceOp = ([x, repeats]) => {
  const shape = x!.shape.map((size, axis) => size * repeats!.data[axis]!);
  return [
    tensor64(shape, (index) =>
      at(
        x!,
        index.map((i, axis) => i % x!.shape[axis]!),
      ),
    ),
  ];
};

/** Channel of x of an element of its block, for DepthToSpace. */
function channelOf(mode: string, c: number, inBlock: number, channels: number, area: number): number {
  return mode === 'DCR' ? inBlock * channels + c : c * area + inBlock;
}

const depthToSpace: ReferenceOp = ([x], node) => {
  const block = intAttribute(node, 'blocksize', 1);
  const [n, depth, h, w] = x!.shape as [number, number, number, number];
  const channels = depth / block ** 2;
  const mode = stringAttribute(node, 'mode', 'DCR');
  return [
    tensor64([n, channels, h * block, w * block], ([i, c, row, column]) => {
      const inBlock = (row! % block) * block + (column! % block);
      const channel = channelOf(mode, c!, inBlock, channels, block ** 2);
      return at(x!, [i!, channel, Math.floor(row! / block), Math.floor(column! / block)]);
    }),
  ];
};

const spaceToDepth: ReferenceOp = ([x], node) => {
  const block = intAttribute(node, 'blocksize', 1);
  const [n, c, h, w] = x!.shape as [number, number, number, number];
  return [
    tensor64([n, c * block ** 2, h / block, w / block], ([i, channel, row, column]) => {
      const inBlock = Math.floor(channel! / c);
      return at(x!, [
        i!,
        channel! % c,
        row! * block + Math.floor(inBlock / block),
        column! * block + (inBlock % block),
      ]);
    }),
  ];
};

const concat: ReferenceOp = (given, node) => {
  const inputs = given as readonly Tensor64[];
  const axis = fromFront(intAttribute(node, 'axis', 1), inputs[0]!.shape.length);
  const total = inputs.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  return [
    tensor64(inputs[0]!.shape.with(axis, total), (index) => {
      let along = index[axis]!;
      const part = inputs.find(({ shape }) => {
        if (along < shape[axis]!) return true;
        along -= shape[axis]!;
        return false;
      })!;
      return at(part, index.with(axis, along));
    }),
  ];
};

const split: ReferenceOp = ([x, given], node) => {
  const axis = fromFront(intAttribute(node, 'axis', 0), x!.shape.length);
  const size = x!.shape[axis]!;
  const even = Math.ceil(size / node.outputs.length);
  const sizes = ints(node, 'split', given) ?? node.outputs.map((_, i) => Math.min(even, size - i * even));
  return sizes.map((count, i) => {
    const start = sizes.slice(0, i).reduce((sum, previous) => sum + previous, 0);
    return tensor64(x!.shape.with(axis, count), (index) => at(x!, index.with(axis, start + index[axis]!)));
  });
};

/** As Array.prototype.slice and Python have it. */
function slicedIndices(size: number, start: number, end: number, step: number): number[] {
  const indices: number[] = [];
  const clamp = (value: number, low: number, high: number) => Math.min(Math.max(fromFront(value, size), low), high);
  if (step > 0) for (let i = clamp(start, 0, size); i < clamp(end, 0, size); i += step) indices.push(i);
  else for (let i = clamp(start, 0, size - 1); i > clamp(end, -1, size - 1); i += step) indices.push(i);
  return indices;
}

const slice: ReferenceOp = ([x, starts, ends, axes, steps]) => {
  const taken = x!.shape.map((size) => Array.from({ length: size }, (_, i) => i));
  for (const [i, start] of starts!.data.entries()) {
    const axis = fromFront(axes?.data[i] ?? i, x!.shape.length);
    taken[axis] = slicedIndices(x!.shape[axis]!, start, ends!.data[i]!, steps?.data[i] ?? 1);
  }
  return [
    tensor64(
      taken.map(({ length }) => length),
      (index) =>
        at(
          x!,
          index.map((i, axis) => taken[axis]![i]!),
        ),
    ),
  ];
};

/** Index of what the padding copies; null for the constant. */
function padSource(mode: string, given: number, size: number): number | null {
  let index = given;
  if (mode === 'constant') return index < 0 || index >= size ? null : index;
  while (index < 0 || index >= size) {
    if (mode === 'edge') index = index < 0 ? 0 : size - 1;
    else if (mode === 'wrap') index += index < 0 ? size : -size;
    else index = index < 0 ? -index : 2 * (size - 1) - index;
  }
  return index;
}

const pad: ReferenceOp = ([x, given, value, axesGiven], node) => {
  const { shape } = x!;
  const mode = stringAttribute(node, 'mode', 'constant');
  const pads = ints(node, 'pads', given)!;
  const axes = axesGiven === undefined ? shape.map((_, axis) => axis) : Array.from(axesGiven.data);
  const begins = shape.map(() => 0);
  const padded = [...shape];
  for (const [i, raw] of axes.entries()) {
    const axis = fromFront(raw, shape.length);
    begins[axis] = pads[i]!;
    padded[axis]! += pads[i]! + pads[i + axes.length]!;
  }
  return [
    tensor64(padded, (index) => {
      const source = index.map((i, axis) => padSource(mode, i - begins[axis]!, shape[axis]!));
      return source.includes(null) ? (value?.data[0] ?? 0) : at(x!, source as number[]);
    }),
  ];
};

const same: ReferenceOp = ([x]) => viewed(x!, x!.shape);

export const LAYOUT_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Expand: expand,
  Tile: tile,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Identity: same,
  Dropout: same,
  Cast: same,
  CastLike: same,
};
