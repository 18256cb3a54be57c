/** Operators that move channels about: concatenations, splits, shuffles, and changes of shape. */
import { intAttribute, intsAttribute, type Node } from '../../../ir/index.js';
import { type ChannelLayout, cutSegments, type Segment } from '../channel-layout.js';
import { channelsOn, type WidthRule } from '../rule.js';
import type { WidthAnalysis } from '../width-analysis.js';

const concat: WidthRule = (node, analysis) => {
  const layouts = node.inputs.map((name) => analysis.layoutOf(name));
  const known = layouts.filter((layout) => layout !== null);
  const [first] = known;
  if (first === undefined) return null;
  if (known.some(({ axis, shuffle }) => axis !== first.axis || shuffle !== null))
    return 'lays channels across each other';
  const rank = analysis.sizesOf(node.inputs[0]!)?.length;
  const axis = intAttribute(node, 'axis', 0);
  if (rank === undefined) return 'has inputs of unknown rank';
  if ((axis + rank) % rank !== first.axis) {
    if (known.length < layouts.length) return 'puts what may change beside what may not';
    for (const { segments } of known.slice(1))
      analysis.tie(first.segments, segments, { node: node.name, why: 'what is put side by side has equal channels' });
    analysis.give(node.outputs[0], first);
    return null;
  }
  const segments: Segment[] = [];
  for (const [i, layout] of layouts.entries()) {
    const size = analysis.sizesOf(node.inputs[i]!)?.[first.axis] ?? null;
    if (layout === null && size === null) return 'has an input of unknown size';
    segments.push(...(layout?.segments ?? analysis.fixed(node, size!, 'goes into a concatenation as it is')));
  }
  analysis.give(node.outputs[0], channelsOn(first.axis, segments));
  return null;
};

const split: WidthRule = (node, analysis) => {
  const [x, sizesInput = ''] = node.inputs as [string, string?];
  const layout = analysis.layoutOf(x);
  const rank = analysis.sizesOf(x)?.length;
  if (layout === null) return null;
  if (rank === undefined || layout.shuffle !== null) return 'cannot be followed';
  if ((intAttribute(node, 'axis', 0) + rank) % rank !== layout.axis) {
    for (const output of node.outputs) analysis.give(output, layout);
    return null;
  }
  const sizes = sizesInput === '' ? intsAttribute(node, 'split', null) : analysis.intsOf(sizesInput);
  const length = analysis.lengthOf(layout.segments);
  const equal = node.outputs.map(() => length / node.outputs.length);
  const pieces = cutSegments(layout.segments, sizes ?? equal, analysis.widths);
  if (pieces === null) return 'splits the channels of one layer';
  if (sizesInput === '' && sizes === null)
    for (const piece of pieces.slice(1))
      analysis.tie(pieces[0]!, piece, { node: node.name, why: 'splits into equal parts' });
  if (sizesInput === '' && sizes !== null) return 'has sizes as an attribute';
  pieces.forEach((segments, i) => {
    if (sizesInput !== '') analysis.count(node, sizesInput, i, segments);
    analysis.give(node.outputs[i], channelsOn(layout.axis, segments));
  });
  return null;
};

const slice: WidthRule = (node, analysis) => {
  const [x, , , axesInput = ''] = node.inputs as [string, string, string, string?];
  const layout = analysis.layoutOf(x);
  const sizes = analysis.sizesOf(x);
  if (layout === null) return null;
  const axes = axesInput === '' ? undefined : analysis.intsOf(axesInput);
  if (sizes === null || axes === undefined || layout.shuffle !== null) return 'cannot be followed';
  if (axes.some((axis) => (axis + sizes.length) % sizes.length === layout.axis)) return 'takes some of the channels';
  analysis.give(node.outputs[0], layout);
  return null;
};

/** Empty channels beside those that come: what an addition behind needs, whatever that will be. */
const pad: WidthRule = (node, analysis) => {
  const [x, padsInput, value = '', axesInput = ''] = node.inputs as [string, string, string?, string?];
  const layout = analysis.layoutOf(x);
  if (layout === null) return null;
  const pads = analysis.intsOf(padsInput);
  const rank = analysis.sizesOf(x)?.length;
  if (pads === undefined || rank === undefined || axesInput !== '' || layout.shuffle !== null)
    return 'cannot be followed';
  const added = pads[layout.axis]! + pads[layout.axis + rank]!;
  if (added === 0) {
    analysis.give(node.outputs[0], layout);
    return null;
  }
  const isOther = pads.some((size, i) => i % rank !== layout.axis && size !== 0);
  if (added < 0 || isOther || layout.axis !== 1 || value !== '') return 'adds more than empty channels';
  const to = [{ width: analysis.widths.create(analysis.lengthOf(layout.segments) + added, null), repeat: 1 }];
  analysis.shortcuts.push({ node, begin: pads[1]!, from: layout.segments, to });
  analysis.give(node.outputs[0], channelsOn(1, to));
  return null;
};

const transpose: WidthRule = (node, analysis) => {
  const layout = analysis.layoutOf(node.inputs[0]!);
  const rank = analysis.sizesOf(node.inputs[0]!)?.length;
  if (layout === null) return null;
  if (rank === undefined) return 'has an input of unknown rank';
  const order = intsAttribute(node, 'perm', null) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (layout.shuffle === null) {
    analysis.give(node.outputs[0], channelsOn(order.indexOf(layout.axis), layout.segments));
    return null;
  }
  const { axis, shuffle } = layout;
  const swaps = order.every((from, to) => from === (to === axis ? axis + 1 : to === axis + 1 ? axis : to));
  if (!swaps) return 'moves more than groups of channels';
  analysis.give(node.outputs[0], { ...layout, shuffle: { ...shuffle, isTransposed: !shuffle.isTransposed } });
  return null;
};

/** [N, C, …] → [N, g, C / g, …], back to it, or flat behind the batch. */
const reshape: WidthRule = (node, analysis) => {
  const [x, shapeInput] = node.inputs as [string, string];
  const layout = analysis.layoutOf(x);
  if (layout === null) return null;
  const [before, after] = [analysis.sizesOf(x), analysis.sizesOf(node.outputs[0]!)];
  if (before === null || after === null || layout.axis !== 1) return 'cannot be followed';
  if (layout.shuffle !== null) return endShuffle(node, analysis, layout, after);
  if (after.length === 2 && before[0] === after[0]) return flatten(node, analysis);
  const [groups] = after.slice(1);
  const isSplit = after.length === before.length + 1 && before[0] === after[0] && equalFrom(before, 2, after, 3);
  if (!isSplit || groups === null) return 'makes channels anew';
  analysis.count(node, shapeInput, 2, layout.segments, groups);
  analysis.give(node.outputs[0], { ...layout, shuffle: { groups: groups!, isTransposed: false } });
  return null;
};

function endShuffle(node: Node, analysis: WidthAnalysis, layout: ChannelLayout, after: Sizes): string | null {
  const { segments, shuffle } = layout;
  const { groups, isTransposed } = shuffle!;
  const sizes = analysis.sizesOf(node.inputs[0]!)!;
  if (after.length !== sizes.length - 1 || !equalFrom(sizes, 3, after, 2)) return 'makes channels anew';
  const why = `shuffles ${groups} groups of channels`;
  if (isTransposed && segments.length === 1) {
    analysis.widths.restrict(segments[0]!.width, groups);
    analysis.widths.note(segments[0]!.width, { node: node.name, why });
  } else if (isTransposed && segments.length === groups) {
    for (const segment of segments.slice(1)) analysis.tie([segments[0]!], [segment], { node: node.name, why });
  } else if (isTransposed) return `${why} that are not layers of their own`;
  analysis.count(node, node.inputs[1]!, 1, segments);
  analysis.give(node.outputs[0], channelsOn(1, segments));
  return null;
}

/** [N, C, H, W] → [N, C · H · W] */
function flatten(node: Node, analysis: WidthAnalysis): string | null {
  const layout = analysis.layoutOf(node.inputs[0]!);
  const sizes = analysis.sizesOf(node.inputs[0]!);
  if (layout === null) return null;
  const isPlain = node.opType !== 'Flatten' || intAttribute(node, 'axis', 1) === 1;
  if (sizes === null || layout.axis !== 1 || layout.shuffle !== null || !isPlain) return 'cannot be followed';
  const rest = sizes
    .slice(2)
    .reduce<number | null>((product, size) => (product === null || size === null ? null : product * size), 1);
  if (rest === null) return 'flattens images of unknown size';
  const segments = layout.segments.map(({ width, repeat }) => ({ width, repeat: repeat * rest }));
  if (node.opType === 'Reshape') analysis.count(node, node.inputs[1]!, 1, segments);
  analysis.give(node.outputs[0], channelsOn(1, segments));
  return null;
}

/** Axes of size 1 come and go. */
const squeeze: WidthRule = (node, analysis) => {
  const layout = analysis.layoutOf(node.inputs[0]!);
  const [before, after] = [analysis.sizesOf(node.inputs[0]!), analysis.sizesOf(node.outputs[0]!)];
  if (layout === null) return null;
  const axes = node.inputs.length > 1 ? analysis.intsOf(node.inputs[1]!) : intsAttribute(node, 'axes', undefined);
  if (before === null || after === null || axes === undefined || layout.shuffle !== null) return 'cannot be followed';
  const rank = node.opType === 'Squeeze' ? before.length : after.length;
  const at = axes.map((axis) => (axis + rank) % rank);
  if (node.opType === 'Squeeze') {
    analysis.give(
      node.outputs[0],
      channelsOn(layout.axis - at.filter((axis) => axis < layout.axis).length, layout.segments),
    );
    return null;
  }
  const kept = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => !at.includes(axis));
  analysis.give(node.outputs[0], channelsOn(kept[layout.axis]!, layout.segments));
  return null;
};

/** Means and sums over other axes. */
const reduce: WidthRule = (node, analysis) => {
  const [x, axesInput = ''] = node.inputs as [string, string?];
  const layout = analysis.layoutOf(x);
  const rank = analysis.sizesOf(x)?.length;
  if (layout === null) return null;
  const axes = axesInput === '' ? intsAttribute(node, 'axes', undefined) : analysis.intsOf(axesInput);
  if (rank === undefined || axes === undefined || layout.shuffle !== null) return 'cannot be followed';
  const over = axes.map((axis) => (axis + rank) % rank);
  if (over.includes(layout.axis)) return 'takes all channels together';
  const before = intAttribute(node, 'keepdims', 1) === 1 ? 0 : over.filter((axis) => axis < layout.axis).length;
  analysis.give(node.outputs[0], channelsOn(layout.axis - before, layout.segments));
  return null;
};

type Sizes = readonly (number | null)[];

function equalFrom(a: Sizes, from: number, b: Sizes, to: number): boolean {
  return a.slice(from).every((size, i) => size === b[to + i]);
}

export const ARRANGEMENT_RULES: Readonly<Record<string, WidthRule>> = {
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Transpose: transpose,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: squeeze,
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceMax: reduce,
  ReduceL2: reduce,
};
