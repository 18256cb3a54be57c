import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  floatValue,
  intsValue,
  intValue,
  stringValue,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { accelerate, Net, operators } from '../../testing/accelerated-network.js';

/** Networks with an operator between convolutions, and what is left of it. */
const BETWEEN: Readonly<Record<string, readonly [make: () => Net, kept: Record<string, number>]>> = {
  'Concat of channels': [
    () =>
      pair()
        .op('Concat', ['a', 'b'], 'm', { axis: intValue(-3) })
        .conv('m', 'y', {}, [8, 16, 1, 1]),
    {},
  ],
  'Concat that shares a scale': [
    () =>
      relus(pair())
        .op('Concat', ['ar', 'br'], 'm', { axis: intValue(1) })
        .conv('m', 'y', {}, [8, 16, 1, 1]),
    {},
  ],
  'Mul of two images': [() => pair().op('Mul', ['a', 'b'], 'm').conv('m', 'y'), {}],
  LeakyRelu: [
    () =>
      pair()
        .op('LeakyRelu', ['a'], 'm', { alpha: floatValue(0.1) })
        .conv('m', 'y'),
    {},
  ],
  Sigmoid: [() => pair().op('Sigmoid', ['a'], 'm').conv('m', 'y'), {}],
  'Pad of the sides': [
    () => pair().ints('pads', [0, 0, 1, 2, 0, 0, 0, 3]).op('Pad', ['a', 'pads'], 'm').conv('m', 'y'),
    {},
  ],
  'Pad that reflects': [
    () =>
      pair()
        .ints('pads', [0, 0, 1, 2, 0, 0, 0, 3])
        .op('Pad', ['a', 'pads'], 'm', { mode: stringValue('reflect') })
        .conv('m', 'y'),
    {},
  ],
  'Slice with axes': [
    () =>
      pair()
        .ints('s', [1, 2])
        .ints('e', [7, 8])
        .ints('axes', [-1, 1])
        .ints('steps', [2, 1])
        .op('Slice', ['a', 's', 'e', 'axes', 'steps'], 'm')
        .conv('m', 'y', {}, [8, 6, 1, 1]),
    {},
  ],
  'Slice without axes': [
    () =>
      pair()
        .ints('s', [0, 2, 1])
        .ints('e', [99, 8, 7])
        .op('Slice', ['a', 's', 'e'], 'm')
        .conv('m', 'y', {}, [8, 6, 1, 1]),
    {},
  ],
  'Resize by scales': [() => resized({ scales: tensorFromFloats([4], Float32Array.of(1, 1, 2, 3)) }), {}],
  'Resize to sizes': [() => resized({ sizes: tensorFromInt64([4], [2, 8, 12, 7]) }), {}],
  'MaxPool with dilations': [
    () =>
      pair()
        .op('MaxPool', ['a'], 'm', {
          kernel_shape: intsValue([2, 3]),
          strides: intsValue([1, 2]),
          dilations: intsValue([2, 1]),
        })
        .conv('m', 'y'),
    { MaxPool: 0 },
  ],
  'MaxPool that rounds up': [
    () =>
      pair()
        .op('MaxPool', ['a'], 'm', {
          kernel_shape: intsValue([2, 2]),
          strides: intsValue([2, 2]),
          ceil_mode: intValue(1),
        })
        .conv('m', 'y'),
    { MaxPool: 1, Transpose: 4 },
  ],
  AveragePool: [
    () =>
      pair()
        .op('AveragePool', ['a'], 'm', { kernel_shape: intsValue([3, 3]) })
        .conv('m', 'y'),
    { AveragePool: 1, Transpose: 4 },
  ],
  'channel shuffle': [
    () =>
      pair()
        .ints('split', [0, 2, 4, 9, 9])
        .ints('join', [0, 8, 9, 9])
        .op('Reshape', ['a', 'split'], 'g')
        .op('Transpose', ['g'], 'h', { perm: intsValue([0, 2, 1, 3, 4]) })
        .op('Reshape', ['h', 'join'], 'm')
        .conv('m', 'y'),
    { Reshape: 2, Transpose: 3 },
  ],
  'shuffle of rows': [
    () =>
      pair()
        .ints('split', [0, 8, 3, 3, 9])
        .ints('join', [0, 8, 9, 9])
        .op('Reshape', ['a', 'split'], 'g')
        .op('Transpose', ['g'], 'h', { perm: intsValue([0, 1, 3, 2, 4]) })
        .op('Reshape', ['h', 'join'], 'm')
        .conv('m', 'y'),
    { Reshape: 2, Transpose: 5 },
  ],
};

/** Two branches, the second of which ends in the output as well. */
function pair(): Net {
  return new Net().conv('x', 'a').conv('x', 'b');
}

function relus(net: Net): Net {
  return net.op('Relu', ['a'], 'ar').op('Relu', ['b'], 'br');
}

function resized({ scales, sizes }: { scales?: Tensor; sizes?: Tensor }): Net {
  const net = pair();
  net.constants.to = (scales ?? sizes)!;
  const attributes = { mode: stringValue('nearest'), coordinate_transformation_mode: stringValue('asymmetric') };
  return net.op('Resize', scales ? ['a', '', 'to'] : ['a', '', '', 'to'], 'm', attributes).conv('m', 'y');
}

for (const [what, [make, kept]] of Object.entries(BETWEEN)) {
  test(`${what} works on images with channels last`, async (t) => {
    const { others } = operators(await accelerate(t, make().model('y')));
    assert.equal(others.Transpose, kept.Transpose ?? 2, 'transpositions besides those of the input and of the output');
    for (const [op, count] of Object.entries(kept)) assert.equal(others[op] ?? 0, count, op);
  });
}

test('Split divides images with channels last', async (t) => {
  const net = new Net().conv('x', 'a').ints('parts', [3, 5]);
  net.nodes.push({
    op: 'Split',
    name: 's',
    inputs: ['a', 'parts'],
    outputs: ['l', 'r'],
    attributes: { axis: intValue(1) },
  });
  net
    .conv('l', 'lc', {}, [8, 3, 3, 3])
    .conv('r', 'rc', {}, [8, 5, 3, 3])
    .op('Add', ['lc', 'rc'], 'sum')
    .conv('sum', 'y');
  const { calls, others } = operators(await accelerate(t, net.model('y')));
  assert.deepEqual([calls.rc, others.Transpose, others.Split], ['TernaryConvAdd', 2, 1]);
});
