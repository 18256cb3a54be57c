/** Layers with weights: they make channels, and end those that go in. */
import { intAttribute, type Node } from '../../../ir/index.js';
import type { Segment } from '../channel-layout.js';
import { channelsOn, type WidthRule } from '../rule.js';
import type { WidthAnalysis } from '../width-analysis.js';

/** Conv and ConvTranspose have weights [O, I / groups, …] and [I, O / groups, …]. */
const convolution =
  (weightAxes: { readonly output: 0 | 1; readonly input: 0 | 1 }): WidthRule =>
  (node, analysis) => {
    const [x, w, b = ''] = node.inputs as [string, string, string?];
    const weight = analysis.constantOf(w);
    if (weight === undefined) return 'has weights that are computed';
    const layout = analysis.layoutOf(x);
    if (layout !== null && (layout.axis !== 1 || layout.shuffle !== null)) return 'takes channels from another axis';
    const groups = intAttribute(node, 'group', 1);
    if (groups !== 1) return depthwise(node, analysis, groups);
    const output = analysis.fresh(node, weight.shape[weightAxes.output]!);
    const axes: (readonly Segment[] | null)[] = weight.shape.map(() => null);
    axes[weightAxes.output] = output;
    axes[weightAxes.input] = layout?.segments ?? null;
    analysis.describe(node, w, axes, weightAxes.input);
    describeVector(node, analysis, b, output);
    analysis.give(node.outputs[0], channelsOn(1, output));
    return null;
  };

/** Both kinds have weights [C, 1, …] where each channel is its own group. */
function depthwise(node: Node, analysis: WidthAnalysis, groups: number): string | null {
  const [x, w, b = ''] = node.inputs as [string, string, string?];
  const weight = analysis.constantOf(w)!;
  const layout = analysis.layoutOf(x);
  const isDepthwise = weight.shape[0] === groups && weight.shape[1] === 1;
  if (!isDepthwise || layout === null || analysis.lengthOf(layout.segments) !== groups)
    return `has ${groups} groups of channels`;
  for (const { width } of layout.segments)
    analysis.widths.note(width, { node: node.name, why: 'each channel is filtered for itself' });
  analysis.describe(node, w, [layout.segments, ...weight.shape.slice(1).map(() => null)]);
  describeVector(node, analysis, b, layout.segments);
  analysis.depthwise.push({ node, segments: layout.segments });
  analysis.give(node.outputs[0], layout);
  return null;
}

const gemm: WidthRule = (node, analysis) => {
  const [x, w, c = ''] = node.inputs as [string, string, string?];
  const layout = analysis.layoutOf(x);
  const weight = analysis.constantOf(w);
  if (weight === undefined) return 'has weights that are computed';
  if (layout !== null && (layout.axis !== 1 || layout.shuffle !== null || intAttribute(node, 'transA', 0) !== 0))
    return 'takes channels from another axis';
  const isTransposed = intAttribute(node, 'transB', 0) !== 0;
  const output = analysis.fresh(node, weight.shape[isTransposed ? 0 : 1]!);
  const input = layout?.segments ?? null;
  analysis.describe(node, w, isTransposed ? [output, input] : [input, output], isTransposed ? 1 : 0);
  if (c !== '' && analysis.constantOf(c) === undefined) return 'has a bias that is computed';
  describeVector(node, analysis, c, output);
  analysis.give(node.outputs[0], channelsOn(1, output));
  return null;
};

const matMul: WidthRule = (node, analysis) => {
  const [x, w] = node.inputs as [string, string];
  const layout = analysis.layoutOf(x);
  const weight = analysis.constantOf(w);
  const rank = analysis.sizesOf(x)?.length;
  if (weight === undefined || weight.shape.length !== 2) return 'has no constant weight of rank 2';
  if (rank === undefined || rank < 2) return 'has an input of unknown rank';
  if (layout !== null && (layout.axis !== rank - 1 || layout.shuffle !== null))
    return 'takes channels from another axis';
  const output = analysis.fresh(node, weight.shape[1]!);
  analysis.describe(node, w, [layout?.segments ?? null, output], 0);
  analysis.give(node.outputs[0], channelsOn(rank - 1, output));
  return null;
};

const batchNormalization: WidthRule = (node, analysis) => {
  const [x, ...parameters] = node.inputs as [string, ...string[]];
  const layout = analysis.layoutOf(x);
  if (layout === null) return null;
  if (layout.axis !== 1 || layout.shuffle !== null) return 'takes channels from another axis';
  if (parameters.some((name) => analysis.constantOf(name) === undefined)) return 'has parameters that are computed';
  for (const name of parameters) describeVector(node, analysis, name, layout.segments);
  analysis.give(node.outputs[0], layout);
  return null;
};

/** A constant with one value for each channel on its last axis; one value for all of them stays. */
function describeVector(node: Node, analysis: WidthAnalysis, name: string, segments: readonly Segment[]): void {
  const constant = name === '' ? undefined : analysis.constantOf(name);
  if (constant === undefined) return;
  const { shape } = constant;
  const axes = shape.map((size, axis) =>
    axis === shape.length - 1 && size === analysis.lengthOf(segments) ? segments : null,
  );
  analysis.describe(node, name, axes);
}

export const LAYER_RULES: Readonly<Record<string, WidthRule>> = {
  Conv: convolution({ output: 0, input: 1 }),
  ConvTranspose: convolution({ output: 1, input: 0 }),
  Gemm: gemm,
  MatMul: matMul,
  BatchNormalization: batchNormalization,
  InstanceNormalization: batchNormalization,
};
