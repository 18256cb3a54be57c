/** Which convolutions of a quantized network the domain's operators cover, and which of them take an addition over. */
import {
  GraphIndex,
  type InferredShapes,
  inferShapes,
  intsAttribute,
  type Node,
  stringAttribute,
} from '../../ir/index.js';
import type { PlannedLayer } from '../../layers/layer.js';
import type { QuantizedModel } from '../quantized-model.js';

/** Begins of height and width, then ends. */
export type Pads = readonly [number, number, number, number];

/** A convolution over images. */
export interface CoveredConvolution {
  readonly planned: PlannedLayer;
  readonly pads: Pads;
  /** The residual addition that it computes as well. */
  readonly addition: Node | null;
}

/** What {@link coverConvolutions} finds. */
export interface Coverage {
  readonly convolutions: ReadonlyMap<Node, CoveredConvolution>;
  /** The convolution by the addition that it takes over. */
  readonly byAddition: ReadonlyMap<Node, CoveredConvolution>;
  readonly shapes: InferredShapes;
}

/** Two-dimensional convolutions whose padding is known, each with the addition that it can absorb. */
export function coverConvolutions(source: QuantizedModel): Coverage {
  const shapes = inferShapes(source.prepared);
  const index = new GraphIndex(source.prepared.graph);
  const convolutions = new Map<Node, CoveredConvolution>();
  const byAddition = new Map<Node, CoveredConvolution>();
  for (const planned of source.layers) {
    const { node, weight } = planned.layer;
    if (node.opType !== 'Conv' || source.activations.roles.get(node) !== 'layer' || weight.shape.length !== 4) continue;
    const pads = explicitPads(node, weight.shape, shapes);
    if (pads !== null) convolutions.set(node, { planned, pads, addition: null });
  }
  // In graph order, so that of two candidates the later one has the last word.
  for (const node of source.prepared.graph.nodes) {
    const covered = convolutions.get(node);
    const addition = covered && absorbable(node, source, index, shapes);
    if (!covered || !addition) continue;
    const earlier = byAddition.get(addition);
    if (earlier !== undefined) convolutions.set(earlier.planned.layer.node, { ...earlier, addition: null });
    const absorbing = { ...covered, addition };
    convolutions.set(node, absorbing);
    byAddition.set(addition, absorbing);
  }
  return { convolutions, byAddition, shapes };
}

/** The addition of two quantized values of one shape that is the only user of the convolution's result; null without one. */
function absorbable(conv: Node, source: QuantizedModel, index: GraphIndex, shapes: InferredShapes): Node | null {
  const { roles, results, values } = source.activations;
  const result = results.get(conv)!;
  const addition = index.soleConsumerOf(result);
  if (addition?.opType !== 'Add' || roles.get(addition) !== 'arithmetic') return null;
  const other = addition.inputs.find((name) => name !== result);
  const hasAllLevels = source.scales.get(values.get(result)!.rangeOf)!.maxCode === 255;
  if (other === undefined || !hasAllLevels || !haveSameShape(result, other, shapes)) return null;
  return addition;
}

function haveSameShape(left: string, right: string, shapes: InferredShapes): boolean {
  const [a, b] = [shapes.get(left)?.shape, shapes.get(right)?.shape];
  if (!a || !b || a.length !== b.length) return false;
  return a.every((size, axis) => size !== null && size === b[axis]);
}

/** Padding in numbers; null where it depends on a size that is not known. */
export function explicitPads(node: Node, kernel: readonly number[], shapes: InferredShapes): Pads | null {
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (autoPad === 'VALID') return [0, 0, 0, 0];
  if (autoPad === 'NOTSET') return intsAttribute(node, 'pads', [0, 0, 0, 0]) as unknown as Pads;
  const strides = intsAttribute(node, 'strides', [1, 1]);
  const dilations = intsAttribute(node, 'dilations', [1, 1]);
  const totals = [0, 1].map((axis) => {
    const extent = (kernel.at(axis - 2)! - 1) * dilations[axis]! + 1;
    const stride = strides[axis]!;
    if (stride === 1) return extent - 1;
    const size = shapes.get(node.inputs[0]!)?.shape?.[axis + 2];
    return typeof size === 'number' ? Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size) : null;
  });
  const [height, width] = totals;
  if (height === null || height === undefined || width === null || width === undefined) return null;
  const before = autoPad === 'SAME_UPPER' ? Math.floor : Math.ceil;
  const [top, left] = [before(height / 2), before(width / 2)];
  return [top, left, height - top, width - left];
}
