import type { Model } from '../ir/index.js';
import { intsValue, intValue } from '../ir/index.js';
import { Net } from './accelerated-network.js';

/**
 * 8 × 9 × 9 images through a residual connection and a Concat, each of which takes in what a convolution takes in too.
 *
 *   x ─ stem ─┬─ a ─ b ─ Add ─┬─ c ─ Concat ─ d ─┬─ MaxPool ─ e ─ y
 *             └───────────────┘└───────┘         └────────────────▶ d.r, an output
 */
export function shortcutNetwork(): Model {
  const net = new Net();
  const conv = (from: string, to: string, inputs = 8) =>
    net.conv(from, to, {}, [8, inputs, 3, 3]).op('Relu', [to], `${to}.r`);
  conv('x', 'stem');
  conv('stem.r', 'a');
  net.conv('a.r', 'b').op('Add', ['b', 'stem.r'], 'sum').op('Relu', ['sum'], 'sum.r');
  conv('sum.r', 'c').op('Concat', ['c.r', 'sum.r'], 'joined', { axis: intValue(1) });
  conv('joined', 'd', 16).op('MaxPool', ['d.r'], 'pooled', { kernel_shape: intsValue([3, 3]) });
  conv('pooled', 'e').conv('e.r', 'y', {}, [8, 8, 1, 1]);
  const model = net.model('y');
  model.graph.outputs.push({ name: 'd.r', dtype: 'float32', shape: null });
  return model;
}
