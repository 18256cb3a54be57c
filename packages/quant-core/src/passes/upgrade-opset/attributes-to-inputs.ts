/**
 *   Op{a = v}(x)        ⇒        Op(x, v)
 *
 * Between opsets 10 and 13 many attributes became inputs: Slice and TopK at 10, Clip and Pad at 11, and Squeeze, Unsqueeze,
 * Split and ReduceSum at 13. Meaning and defaults stayed.
 */
import {
  type DataType,
  floatAttribute,
  intAttribute,
  intsAttribute,
  type Node,
  numberToFloat16,
  type Tensor,
  tensorFromBytes,
  tensorFromInt64,
} from '../../ir/index.js';
import { addConstant, type RuleContext, setInput, type UpgradeRule } from './rule.js';

/** A rule that moves one attribute of integers to one input. */
function integersToInput(op: string, since: number, attribute: string, position: number): UpgradeRule {
  return {
    op,
    since,
    apply(node, context) {
      const values = intsAttribute(node, attribute, null);
      if (values === null) return false;
      setInput(node, position, addConstant(context, node, attribute, tensorFromInt64([values.length], values)));
      return node.attributes.delete(attribute);
    },
  };
}

const topK: UpgradeRule = {
  op: 'TopK',
  since: 10,
  apply(node, context) {
    setInput(node, 1, addConstant(context, node, 'k', tensorFromInt64([1], [intAttribute(node, 'k', 0)])));
    return node.attributes.delete('k');
  },
};

const clip: UpgradeRule = {
  op: 'Clip',
  since: 11,
  apply(node, context) {
    const bounds = [floatAttribute(node, 'min', null), floatAttribute(node, 'max', null)];
    bounds.forEach((bound, i) => {
      if (bound === null || Math.abs(bound) > LARGEST_FLOAT) return;
      setInput(node, i + 1, addConstant(context, node, i === 0 ? 'min' : 'max', scalarLike(node, context, bound)));
    });
    node.attributes.delete('min');
    node.attributes.delete('max');
    return true;
  },
};

const pad: UpgradeRule = {
  op: 'Pad',
  since: 11,
  apply(node, context) {
    const pads = intsAttribute(node, 'pads', []);
    const value = floatAttribute(node, 'value', 0);
    setInput(node, 1, addConstant(context, node, 'pads', tensorFromInt64([pads.length], pads)));
    setInput(node, 2, addConstant(context, node, 'value', scalarLike(node, context, value)));
    node.attributes.delete('pads');
    node.attributes.delete('value');
    return true;
  },
};

/** Defaults of Clip-6 are the limits of float32: no bound at all. */
const LARGEST_FLOAT = 3.4e38;

function scalarLike(node: Node, context: RuleContext, value: number): Tensor {
  const dtype: DataType = context.dtypeOf(node.inputs[0]!) ?? 'float32';
  if (dtype === 'float64') return tensorFromBytes(dtype, [], new Uint8Array(Float64Array.of(value).buffer));
  if (dtype === 'float16')
    return tensorFromBytes(dtype, [], new Uint8Array(Uint16Array.of(numberToFloat16(value)).buffer));
  return tensorFromBytes('float32', [], new Uint8Array(Float32Array.of(value).buffer));
}

export const ATTRIBUTES_TO_INPUTS: readonly UpgradeRule[] = [
  integersToInput('Slice', 10, 'starts', 1),
  integersToInput('Slice', 10, 'ends', 2),
  integersToInput('Slice', 10, 'axes', 3),
  topK,
  clip,
  pad,
  integersToInput('Squeeze', 13, 'axes', 1),
  integersToInput('Unsqueeze', 13, 'axes', 1),
  integersToInput('ReduceSum', 13, 'axes', 1),
  integersToInput('Split', 13, 'split', 1),
];
