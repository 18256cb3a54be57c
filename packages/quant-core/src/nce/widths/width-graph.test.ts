import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intsValue, intValue, type Tensor, tensorFromInt64 } from '../../ir/index.js';
import { readModel } from '../../onnx/index.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { sharedData, skipWithout } from '../../testing/shared-data.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { isFree, widthGraph } from './width-graph.js';

/** [2, 3, 4, 4] → convolutions `a` and `b` of 4 and `c` of 6 channels, each of `x` → the nodes → y. */
async function widthsOf(nodes: readonly TinyNode[], constants: Record<string, Tensor> = {}) {
  const conv = (name: string): TinyNode => ({ op: 'Conv', name, inputs: ['x', `w${name}`], outputs: [name] });
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3, 4, 4]]],
    outputs: [['y', 'float32', null]],
    nodes: [...['a', 'b', 'c'].map(conv), ...nodes.map((node) => ({ name: node.outputs[0]!, ...node }))],
    constants: {
      wa: randomTensor([4, 3, 1, 1], 1),
      wb: randomTensor([4, 3, 1, 1], 2),
      wc: randomTensor([6, 3, 1, 1], 3),
      four: randomTensor([5, 4, 1, 1], 4),
      eight: randomTensor([5, 8, 1, 1], 5),
      depthwise: randomTensor([4, 1, 1, 1], 6),
      ...constants,
    },
  });
  const { widths } = await widthGraph(model);
  return widths.map(({ layers, ties, pins, multipleOf }) => ({
    layers: layers.join(),
    why: [...ties, ...pins].map(({ node, why }) => `${node}: ${why}`),
    multipleOf,
  }));
}

const free = (layers: string, ...why: string[]) => ({ layers, why, multipleOf: 1 });
const LAST = free('y', 'y: is an output of the network');
const final = (input: string, weight = 'four'): TinyNode => ({ op: 'Conv', inputs: [input, weight], outputs: ['y'] });

test('every layer has a width of its own, the last one keeps it', async () => {
  assert.deepEqual(await widthsOf([final('a')]), [free('a'), free('b'), free('c'), LAST]);
});

test('additions and depthwise convolutions tie widths and say so', async () => {
  const found = await widthsOf([
    { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
    { op: 'Conv', inputs: ['sum', 'depthwise'], outputs: ['filtered'], attributes: { group: intValue(4) } },
    final('filtered'),
  ]);
  const why = ['sum: Add needs as many channels on every side', 'filtered: each channel is filtered for itself'];
  assert.deepEqual(found, [free('a,b', ...why), free('c'), LAST]);
});

test('concatenations leave widths free, and what adds two of them ties part by part', async () => {
  const join = (name: string, ...inputs: string[]): TinyNode => ({
    op: 'Concat',
    inputs,
    outputs: [name],
    attributes: { axis: intValue(1) },
  });
  const plain = await widthsOf([join('both', 'a', 'b'), final('both', 'eight')]);
  assert.deepEqual(plain, [free('a'), free('b'), free('c'), LAST]);
  const added = await widthsOf([
    join('one', 'a', 'b'),
    join('other', 'b', 'a'),
    { op: 'Add', inputs: ['one', 'other'], outputs: ['sum'] },
    final('sum', 'eight'),
  ]);
  assert.deepEqual(
    added.map(({ layers }) => layers),
    ['a,b', 'c', 'y'],
  );
});

test('a shuffle keeps groups equal', async () => {
  const shape = (...sizes: number[]) => tensorFromInt64([sizes.length], sizes);
  const found = await widthsOf(
    [
      { op: 'Reshape', inputs: ['a', 'split'], outputs: ['groups'] },
      { op: 'Transpose', inputs: ['groups'], outputs: ['swapped'], attributes: { perm: intsValue([0, 2, 1, 3, 4]) } },
      { op: 'Reshape', inputs: ['swapped', 'joined'], outputs: ['shuffled'] },
      final('shuffled'),
    ],
    { split: shape(2, 2, 2, 4, 4), joined: shape(2, 4, 4, 4) },
  );
  assert.deepEqual(found[0], { layers: 'a', why: ['shuffled: shuffles 2 groups of channels'], multipleOf: 2 });
});

test('what cannot be followed keeps widths, and says what and why', async () => {
  const cases: [TinyNode[], string][] = [
    [
      [{ op: 'Softmax', inputs: ['a'], outputs: ['p'], attributes: { axis: intValue(1) } }, final('p')],
      'p: Softmax is an operator that widths cannot be followed through',
    ],
    [
      [{ op: 'Conv', inputs: ['a', 'grouped'], outputs: ['g'], attributes: { group: intValue(2) } }, final('g')],
      'g: Conv has 2 groups of channels',
    ],
    [
      [{ op: 'ReduceMean', inputs: ['a'], outputs: ['m'], attributes: { axes: intsValue([1]) } }, final('a')],
      'm: ReduceMean takes all channels together',
    ],
  ];
  for (const [nodes, why] of cases) {
    const [first] = await widthsOf(nodes, { grouped: randomTensor([4, 2, 1, 1], 7) });
    assert.deepEqual(first, free('a', why));
  }
});

const MODELS = {
  'resnet20_cifar10.onnx': 12,
  'resnet8_cifar10_mlperftiny.onnx': 6,
  'squeezenet1.1.onnx': 25,
  'mobilenet_v1_0.75.onnx': 14,
};

for (const [file, count] of Object.entries(MODELS))
  test(`${file} has ${count} widths to choose`, { skip: skipWithout(`models/${file}`) }, async () => {
    const { widths } = await widthGraph(await readModel(sharedData('models', file)));
    assert.equal(widths.filter(isFree).length, count);
    assert.equal(widths.filter((width) => !isFree(width)).length, 1);
  });
