/** Operators that compute element by element, or within each channel: channels pass, and those of all inputs are equally many. */
import type { ChannelLayout } from '../channel-layout.js';
import { channelsOn, type WidthRule } from '../rule.js';

/** One input with channels; further ones are settings. */
const PASSING = [
  'Abs',
  'AveragePool',
  'Cast',
  'Ceil',
  'Celu',
  'Clip',
  'Dropout',
  'Elu',
  'Erf',
  'Exp',
  'Floor',
  'Gelu',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'HardSigmoid',
  'HardSwish',
  'Identity',
  'LeakyRelu',
  'Log',
  'LpPool',
  'MaxPool',
  'Mish',
  'Neg',
  'Reciprocal',
  'Relu',
  'Round',
  'Selu',
  'Sigmoid',
  'Sign',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Tanh',
  'ThresholdedRelu',
];

const POOLS: ReadonlySet<string> = new Set(['AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'LpPool', 'MaxPool']);

const passing: WidthRule = (node, analysis) => {
  const layout = analysis.layoutOf(node.inputs[0]!);
  if (layout === null) return null;
  if (layout.shuffle !== null) return 'stands within a shuffle of channels';
  if (POOLS.has(node.opType) && layout.axis !== 1) return 'takes channels from another axis';
  if (node.inputs.slice(1).some((name) => analysis.layoutOf(name) !== null)) return 'has settings that are computed';
  if (node.opType === 'MaxPool' && node.outputs.length > 1) return 'puts out positions';
  analysis.give(node.outputs[0], layout);
  return null;
};

const BROADCASTING = ['Add', 'Div', 'Max', 'Mean', 'Min', 'Mul', 'Pow', 'PRelu', 'Sub', 'Sum'];

/** Axes are counted from the last, as broadcasting does. */
const broadcasting: WidthRule = (node, analysis) => {
  const inputs = node.inputs.map((name) => ({
    name,
    layout: analysis.layoutOf(name),
    sizes: analysis.sizesOf(name) ?? analysis.constantOf(name)?.shape,
  }));
  const wide = inputs.filter(({ layout }) => layout !== null);
  if (wide.length === 0) return null;
  if (inputs.some(({ sizes }) => sizes === undefined)) return 'has inputs of unknown rank';
  if (wide.some(({ layout }) => layout!.shuffle !== null)) return 'stands within a shuffle of channels';
  const fromLast = ({ axis }: ChannelLayout, rank: number) => rank - axis;
  const lengths = wide.map(({ layout }) => analysis.lengthOf(layout!.segments));
  const longest = wide[lengths.indexOf(Math.max(...lengths))]!;
  const segments = longest.layout!.segments;
  const position = fromLast(longest.layout!, longest.sizes!.length);
  const why = `${node.opType} needs as many channels on every side`;
  for (const { name, layout, sizes } of inputs) {
    const axis = sizes!.length - position;
    const length = axis < 0 ? 1 : sizes![axis];
    const constant = analysis.constantOf(name);
    if (layout !== null && fromLast(layout, sizes!.length) !== position) return 'lays channels across each other';
    if (layout !== null && length === 1 && Math.max(...lengths) > 1)
      analysis.pin(layout.segments, { node: node.name, why: 'one channel is spread over all others' });
    else if (layout !== null && name !== longest.name)
      analysis.tie(segments, layout.segments, { node: node.name, why });
    else if (layout !== null || (length === 1 && constant === undefined)) continue;
    else if (constant === undefined) analysis.pin(segments, { node: node.name, why: `${why}, and one side is fixed` });
    else
      analysis.describe(
        node,
        name,
        constant.shape.map((size, at) => (at === axis && size !== 1 ? segments : null)),
      );
  }
  const rank = Math.max(...inputs.map(({ sizes }) => sizes!.length));
  analysis.give(node.outputs[0], channelsOn(rank - position, segments));
  return null;
};

export const ELEMENTWISE_RULES: Readonly<Record<string, WidthRule>> = {
  ...Object.fromEntries(PASSING.map((op) => [op, passing])),
  ...Object.fromEntries(BROADCASTING.map((op) => [op, broadcasting])),
};
