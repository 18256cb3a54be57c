import { elementCount, floatAttribute, intAttribute } from '../../ir/index.js';
import type { ReferenceOp, Tensor64 } from './reference.js';
import { at, map64, tensor64 } from './tensor64.js';

type Index = readonly number[];

/** Elements of x by group, groups told apart by a key of the index. */
function grouped(x: Tensor64, keyOf: (index: Index) => string): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  tensor64(x.shape, (index, flat) => {
    const key = keyOf(index);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key)!.push(x.data[flat]!);
    return 0;
  });
  return groups;
}

const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function moments(values: readonly number[]): readonly [mean: number, variance: number] {
  const mean = average(values);
  return [mean, average(values.map((value) => (value - mean) ** 2))];
}

/** x normalized by the mean and variance of each group. */
function normalized(x: Tensor64, epsilon: number, keyOf: (index: Index) => string): Tensor64 {
  const groups = new Map([...grouped(x, keyOf)].map(([key, values]) => [key, moments(values)]));
  return tensor64(x.shape, (index, flat) => {
    const [mean, variance] = groups.get(keyOf(index))!;
    return (x.data[flat]! - mean) / Math.sqrt(variance + epsilon);
  });
}

const epsilonOf = (node: Parameters<ReferenceOp>[1]) => floatAttribute(node, 'epsilon', 1e-5);

const batchNormalization: ReferenceOp = ([x, scale, bias, mean, variance], node) => {
  const channel = (index: Index) => index[1]!;
  if (intAttribute(node, 'training_mode', 0) === 1) {
    const hat = normalized(x!, epsilonOf(node), (index) => `${channel(index)}`);
    return [tensor64(x!.shape, (index) => at(hat, index) * scale!.data[channel(index)]! + bias!.data[channel(index)]!)];
  }
  const output = tensor64(x!.shape, (index, flat) => {
    const c = channel(index);
    const hat = (x!.data[flat]! - mean!.data[c]!) / Math.sqrt(variance!.data[c]! + epsilonOf(node));
    return hat * scale!.data[c]! + bias!.data[c]!;
  });
  return [output];
};

const layerNormalization: ReferenceOp = ([x, scale, bias], node) => {
  const axis = intAttribute(node, 'axis', -1);
  const from = axis < 0 ? axis + x!.shape.length : axis;
  const hat = normalized(x!, epsilonOf(node), (index) => index.slice(0, from).join());
  return [
    tensor64(x!.shape, (index) => at(hat, index) * at(scale!, index) + (bias === undefined ? 0 : at(bias, index))),
  ];
};

/** Channels in as many groups as told; a parameter goes for as many channels as there are per parameter. */
const inGroups =
  (groupsOf: (node: Parameters<ReferenceOp>[1], channels: number) => number): ReferenceOp =>
  ([x, scale, bias], node) => {
    const channels = x!.shape[1]!;
    const perGroup = channels / groupsOf(node, channels);
    const perParameter = channels / elementCount(scale!.shape);
    const hat = normalized(x!, epsilonOf(node), ([n, c]) => `${n},${Math.floor(c! / perGroup)}`);
    const output = tensor64(x!.shape, (index) => {
      const parameter = Math.floor(index[1]! / perParameter);
      return at(hat, index) * scale!.data[parameter]! + bias!.data[parameter]!;
    });
    return [output];
  };

const softmax: ReferenceOp = ([x], node) => {
  const given = intAttribute(node, 'axis', -1);
  const axis = given < 0 ? given + x!.shape.length : given;
  const keyOf = (index: Index) => index.with(axis, 0).join();
  const sums = new Map(
    [...grouped(x!, keyOf)].map(([key, values]) => [key, values.reduce((sum, value) => sum + Math.exp(value), 0)]),
  );
  return [tensor64(x!.shape, (index, flat) => Math.exp(x!.data[flat]!) / sums.get(keyOf(index))!)];
};

export const NORMALIZATION_REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  BatchNormalization: batchNormalization,
  GroupNormalization: inGroups((node) => intAttribute(node, 'num_groups', 1)),
  InstanceNormalization: inGroups((_, channels) => channels),
  LayerNormalization: layerNormalization,
  LogSoftmax: (inputs, node) => [map64(softmax(inputs, node)[0]!, Math.log)],
  Softmax: softmax,
};
