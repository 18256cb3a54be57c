/**
 *   Upsample{scales}(x), Upsample(x, scales), Resize-10(x, scales)
 *                               ⇒        Resize{asymmetric}(x, , scales)
 *
 * The older operators sample at x_out / scale without an offset. Their nearest mode rounds down where it enlarges and, in
 * onnxruntime, up where it shrinks.
 */
import {
  floatsAttribute,
  type Node,
  readFloats,
  stringAttribute,
  stringValue,
  tensorFromFloats,
} from '../../ir/index.js';
import { addConstant, cannotUpgrade, type RuleContext, type UpgradeRule } from './rule.js';

const upsampleScalesToInput: UpgradeRule = {
  op: 'Upsample',
  since: 9,
  apply(node, context) {
    const scales = floatsAttribute(node, 'scales', null);
    if (scales === null) return false;
    const tensor = tensorFromFloats([scales.length], Float32Array.from(scales));
    node.inputs[1] = addConstant(context, node, 'scales', tensor);
    return node.attributes.delete('scales');
  },
};

const upsampleToResize: UpgradeRule = {
  op: 'Upsample',
  since: 10,
  apply(node) {
    node.opType = 'Resize';
    return true;
  },
};

const resizeWithSizes: UpgradeRule = {
  op: 'Resize',
  since: 11,
  async apply(node, context) {
    const [input = '', scales = ''] = node.inputs;
    const mode = stringAttribute(node, 'mode', 'nearest');
    node.inputs = [input, '', scales];
    node.attributes.set('mode', stringValue(mode === 'bilinear' ? 'linear' : mode));
    node.attributes.set('coordinate_transformation_mode', stringValue('asymmetric'));
    if (mode === 'nearest') node.attributes.set('nearest_mode', stringValue(await nearestMode(node, scales, context)));
    return true;
  },
};

async function nearestMode(node: Node, scales: string, context: RuleContext): Promise<'floor' | 'ceil'> {
  const tensor = context.constantOf(scales);
  if (tensor === undefined) return 'floor';
  const values = await readFloats(tensor);
  if (values.every((scale) => scale >= 1)) return 'floor';
  if (values.every((scale) => scale <= 1)) return 'ceil';
  throw cannotUpgrade(node, context.opset, 'it enlarges one axis and shrinks another by nearest neighbours');
}

export const RESIZE: readonly UpgradeRule[] = [upsampleScalesToInput, upsampleToResize, resizeWithSizes];
