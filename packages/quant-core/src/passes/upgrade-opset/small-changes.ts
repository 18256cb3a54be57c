/** Operators of which a name, a default or a training feature changed. */
import { intAttribute, type Node } from '../../ir/index.js';
import { cannotUpgrade, type UpgradeRule } from './rule.js';

/** BatchNormalization-7 could normalize each activation by itself (`spatial` 0), which was dropped. */
const batchNormSpatial: UpgradeRule = {
  op: 'BatchNormalization',
  since: 9,
  apply(node, { opset }) {
    if (intAttribute(node, 'spatial', 1) !== 1)
      throw cannotUpgrade(node, opset, 'it normalizes without sharing over positions');
    return node.attributes.delete('spatial');
  },
};

/** Up to opset 13 the four further outputs of BatchNormalization were those of training. */
const batchNormOutputs: UpgradeRule = {
  op: 'BatchNormalization',
  since: 13,
  apply(node, { opset, graph }) {
    const extra = node.outputs.slice(1).filter((name) => name !== '');
    if (extra.length === 0) return false;
    const used = new Set([...graph.nodes.flatMap((other) => other.inputs), ...graph.outputs.map(({ name }) => name)]);
    if (extra.some((name) => used.has(name))) throw cannotUpgrade(node, opset, 'its training outputs are used');
    node.outputs.length = 1;
    return true;
  },
};

/** Dropout's ratio became an input; at inference it has no effect. */
const dropoutRatio: UpgradeRule = {
  op: 'Dropout',
  since: 12,
  apply(node, { opset }) {
    if (opset < 10 && (node.outputs[1] ?? '') !== '') throw cannotUpgrade(node, opset, 'its mask was not boolean');
    return node.attributes.delete('ratio');
  },
};

const scatter: UpgradeRule = {
  op: 'Scatter',
  since: 11,
  apply(node) {
    node.opType = 'ScatterElements';
    return true;
  },
};

function refuse(op: string, since: number, why: string): UpgradeRule {
  return {
    op,
    since,
    apply(node: Node, { opset }) {
      throw cannotUpgrade(node, opset, why);
    },
  };
}

const REMOVED_EXPERIMENTS = [
  'ATen',
  'Affine',
  'ConstantFill',
  'Crop',
  'DynamicSlice',
  'GRUUnit',
  'GivenTensorFill',
  'ImageScaler',
  'ParametricSoftplus',
  'Scale',
  'ScaledTanh',
];

export const SMALL_CHANGES: readonly UpgradeRule[] = [
  batchNormSpatial,
  batchNormOutputs,
  dropoutRatio,
  scatter,
  refuse('Scan', 9, 'it scanned over batches'),
  ...REMOVED_EXPERIMENTS.map((op) => refuse(op, 10, 'the experimental operator was removed')),
];
