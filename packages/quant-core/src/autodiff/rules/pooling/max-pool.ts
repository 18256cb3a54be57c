/**
 * Maxima of windows. Each output has its gradient from the place of its maximum, the first one of equals (quantized
 * activations are often equal, and a comparison with the maximum would count each of them):
 *
 *   x̄[i] = Σ ȳ[o] over o with argmax[o] = i
 *
 * MaxPool tells these places as its second output; where the forward node does not, a second MaxPool does. Windows that
 * do not overlap have one place each, and MaxUnpool puts ȳ there; otherwise ScatterElements adds, which is as fast as
 * several MaxUnpool over windows that are apart, and faster than a mask per tap.
 */
import { type Attribute, elementCount, intAttribute, intsValue, intValue, stringValue } from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';
import { extent, kernelOf, windowsOf } from '../windows.js';

export const maxPool: GradientRule = (input) => {
  const { b, dy, node, shapeOf } = input;
  const inputs = shapeOf(0).slice(2);
  const windows = windowsOf(node, { inputs, outputs: b.shapeOf(dy).slice(2), kernel: kernelOf(node) });
  const isApart = windows.strides.every((stride, axis) => stride >= extent(windows, axis));
  const known = intAttribute(node, 'storage_order', 0) === 0 ? node.outputs[1] : undefined;
  const places = known || findPlaces(input, Object.fromEntries(node.attributes));
  return [isApart ? putAt(input, places) : addAt(input, places)];
};

export const globalMaxPool: GradientRule = (input) => {
  const attributes = { kernel_shape: intsValue(input.shapeOf(0).slice(2)) };
  return [putAt(input, findPlaces(input, attributes))];
};

/** Flat indices of the maxima, int64 in the shape of the output. */
function findPlaces({ b, dy, node }: RuleInput, attributes: Readonly<Record<string, Attribute>>): string {
  const shape = b.shapeOf(dy);
  return b.addAll('MaxPool', [node.inputs[0]!], [shape, shape], { ...attributes, storage_order: intValue(0) })[1]!;
}

function putAt({ b, dy, shapeOf }: RuleInput, places: string): string {
  const shape = shapeOf(0);
  // Only the given shape counts; the attribute must be there.
  const kernel = intsValue(shape.slice(2).map(() => 1));
  return b.add('MaxUnpool', [dy, places, b.ints(shape)], shape, { kernel_shape: kernel });
}

function addAt({ b, dy, opset, shapeOf }: RuleInput, places: string): string {
  if (opset < 16) throw new UnsupportedGradient('windows that overlap need opset 16 or later');
  const shape = shapeOf(0);
  const [count, added] = [elementCount(shape), elementCount(b.shapeOf(dy))];
  const zeros = b.expand(b.scalar(0), [count]);
  const inputs = [zeros, b.reshape(places, [added]), b.reshape(dy, [added])];
  const sums = b.add('ScatterElements', inputs, [count], { axis: intValue(0), reduction: stringValue('add') });
  return b.reshape(sums, shape);
}
