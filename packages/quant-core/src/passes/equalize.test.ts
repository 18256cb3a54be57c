import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { dequantizeInt8, quantizeInt8 } from '../int8/index.js';
import {
  floatValue,
  intsValue,
  intValue,
  type Model,
  readFloats,
  scalarFloat,
  type Tensor,
  tensorFromFloats,
} from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import type { HostTensor } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { assertClose, checkPass, runModel } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { type ChannelMaxima, equalize } from './equalize.js';
import { findLayerPairs } from './layer-pairs.js';

const CHANNELS = 6;

const pass = (t: TestContext, maxima?: ChannelMaxima) => {
  const scratch = new ScratchTensors(join(temporaryFolder(t), 'tensors.bin'));
  return (model: Model) => equalize(model, scratch, maxima);
};

/** A weight [OC, IC, …] whose channels along an axis differ by powers of `step`. */
function uneven(shape: readonly number[], axis: 0 | 1, seed: number, step = 3): Tensor {
  const tensor = randomTensor(shape, seed);
  assert.ok(tensor.data.kind === 'memory');
  const values = new Float32Array(tensor.data.bytes.slice().buffer);
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return tensorFromFloats(
    shape,
    values.map((value, i) => value * step ** ((Math.floor(i / inner) % shape[axis]!) - 2)),
  );
}

/** conv a → the nodes from `a` to `m` → conv b with 3×3 and padding. */
function pair(between: readonly TinyNode[], constants: Readonly<Record<string, Tensor>> = {}): Model {
  return tinyModel({
    inputs: [['x', 'float32', [2, 3, 6, 6]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', name: 'a', inputs: ['x', 'wa', 'ba'], outputs: ['a'] },
      ...between,
      { op: 'Conv', name: 'b', inputs: ['m', 'wb'], outputs: ['y'], attributes: { pads: intsValue([1, 1, 1, 1]) } },
    ],
    constants: {
      wa: uneven([CHANNELS, 3, 1, 1], 0, 1),
      ba: tensorFromFloats([CHANNELS], new Float32Array(CHANNELS)),
      wb: uneven([4, CHANNELS, 3, 3], 1, 3, 1 / 3),
      ...constants,
    },
  });
}
const flatBias = { ba: tensorFromFloats([CHANNELS], Float32Array.of(0.01, 0.1, 1, -10, 100, 1000)) };

const relu: TinyNode = { op: 'Relu', inputs: ['a'], outputs: ['m'] };
const clip = (from = 'a', to = 'm'): TinyNode => ({ op: 'Clip', inputs: [from, 'zero', 'six'], outputs: [to] });
const limits = { zero: scalarFloat(0), six: scalarFloat(6) };

async function weightsOf(model: Model, name: string): Promise<Float32Array> {
  const node = model.graph.nodes.find((candidate) => candidate.name === name)!;
  return readFloats(model.graph.initializers.get(node.inputs[1]!)!);
}

/** max|w| per slice of an axis of [rows, columns, inner]. */
function maxima(
  values: Float32Array,
  [rows, columns, inner]: readonly [number, number, number],
  axis: 0 | 1,
): number[] {
  const most = new Array<number>(axis === 0 ? rows : columns).fill(0);
  for (const [i, value] of values.entries()) {
    const at = axis === 0 ? Math.floor(i / (columns * inner)) : Math.floor(i / inner) % columns;
    most[at] = Math.max(most[at]!, Math.abs(value));
  }
  return most;
}

const spread = (values: readonly number[]) => Math.max(...values) / Math.min(...values);

test('channels between two convolutions become as large as their weights, and the network computes the same', async (t) => {
  const model = pair([relu], flatBias);
  const after = await checkPass(t, model, pass(t));
  const shapes = { a: [CHANNELS, 3, 1], b: [4, CHANNELS, 9] } as const;
  assert.ok(spread(maxima(await weightsOf(model, 'a'), shapes.a, 0)) > 100);
  assert.ok(spread(maxima(await weightsOf(model, 'b'), shapes.b, 1)) > 100);
  const [before, behind] = [await weightsOf(after, 'a'), await weightsOf(after, 'b')];
  assert.ok(spread(maxima(before, shapes.a, 0)) < 10, `${maxima(before, shapes.a, 0)}`);
  assert.ok(spread(maxima(behind, shapes.b, 1)) < 10, `${maxima(behind, shapes.b, 1)}`);
  assert.equal([...after.graph.initializers.keys()].includes('wa'), false, 'nothing is left of the old weights');
});

test('what is positively homogeneous is passed: pooling, LeakyRelu, PRelu, or nothing', async (t) => {
  const pool = { kernel_shape: intsValue([2, 2]), strides: intsValue([1, 1]), pads: intsValue([0, 0, 1, 1]) };
  const chains: readonly (readonly TinyNode[])[] = [
    [
      { op: 'Relu', inputs: ['a'], outputs: ['r'] },
      { op: 'MaxPool', inputs: ['r'], outputs: ['m'], attributes: pool },
    ],
    [
      { op: 'AveragePool', inputs: ['a'], outputs: ['p'], attributes: pool },
      { op: 'LeakyRelu', inputs: ['p'], outputs: ['m'], attributes: { alpha: floatValue(0.2) } },
    ],
    [{ op: 'PRelu', inputs: ['a', 'slope'], outputs: ['m'] }],
    [{ op: 'GlobalAveragePool', inputs: ['a'], outputs: ['m'] }],
    [{ op: 'Clip', inputs: ['a', 'zero'], outputs: ['m'] }],
  ];
  for (const chain of chains) {
    const slope = randomTensor([CHANNELS, 1, 1], 8);
    const constants = { ...flatBias, slope, ...limits };
    await checkPass(t, pair(chain, constants), pass(t));
  }
});

test('depthwise, grouped and linear layers are equalized along their channels', async (t) => {
  const conv = (name: string, from: string, to: string, group: number): TinyNode => ({
    op: 'Conv',
    name,
    inputs: [from, `w_${name}`],
    outputs: [to],
    attributes: { group: intValue(group) },
  });
  const depthwise = tinyModel({
    inputs: [['x', 'float32', [1, 3, 5, 5]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      conv('expand', 'x', 'e', 1),
      { op: 'Relu', inputs: ['e'], outputs: ['er'] },
      conv('depth', 'er', 'd', CHANNELS),
      { op: 'Relu', inputs: ['d'], outputs: ['dr'] },
      conv('project', 'dr', 'p', 2),
      conv('last', 'p', 'y', 1),
    ],
    constants: {
      w_expand: uneven([CHANNELS, 3, 1, 1], 0, 1),
      w_depth: uneven([CHANNELS, 1, 3, 3], 0, 2),
      w_project: uneven([4, CHANNELS / 2, 1, 1], 1, 3),
      w_last: uneven([2, 4, 1, 1], 1, 4),
    },
  });
  const after = await checkPass(t, depthwise, pass(t));
  const expanded = maxima(await weightsOf(after, 'expand'), [CHANNELS, 3, 1], 0);
  assert.ok(spread(expanded) < 1.001, `depthwise weights leave the choice to the values: ${expanded}`);
  for (const transB of [0, 1]) {
    const linear = tinyModel({
      inputs: [['x', 'float32', [3, 5]]],
      outputs: [['y', 'float32', null]],
      nodes: [
        { op: 'Gemm', name: 'a', inputs: ['x', 'wa', 'ba'], outputs: ['h'], attributes: { transB: intValue(transB) } },
        { op: 'Relu', inputs: ['h'], outputs: ['r'] },
        { op: 'Gemm', name: 'b', inputs: ['r', 'wb', 'bb'], outputs: ['y'], attributes: { transB: intValue(transB) } },
      ],
      constants: {
        wa: transB ? uneven([CHANNELS, 5], 0, 5) : uneven([5, CHANNELS], 1, 5),
        wb: transB ? uneven([4, CHANNELS], 1, 6) : uneven([CHANNELS, 4], 0, 6),
        ...flatBias,
        bb: randomTensor([4], 7),
      },
    });
    await checkPass(t, linear, pass(t));
  }
});

test('several layers that take in the same values undo the scaling together', async (t) => {
  const model = pair([relu], flatBias);
  model.graph.nodes.push({ ...model.graph.nodes.at(-1)!, name: 'c', inputs: ['m', 'wc'], outputs: ['z'] });
  model.graph.initializers.set('wc', uneven([2, CHANNELS, 3, 3], 1, 9, 1 / 3));
  model.graph.outputs.push({ name: 'z', dtype: 'float32', shape: null });
  const after = await checkPass(t, model, pass(t));
  for (const [name, rows] of [
    ['b', 4],
    ['c', 2],
  ] as const) {
    assert.ok(spread(maxima(await weightsOf(after, name), [rows, CHANNELS, 9], 1)) < 12);
  }
});

test('with maxima a Clip is passed as far as nothing that was seen is clipped, and channels at its bound stay', async (t) => {
  const model = pair([clip()], {
    ...limits,
    wa: tensorFromFloats(
      [CHANNELS, 3, 1, 1],
      new Float32Array(3 * CHANNELS).map((_, i) => 10 ** (Math.floor(i / 3) - 4)),
    ),
    ba: tensorFromFloats([CHANNELS], new Float32Array(CHANNELS)),
  });
  assert.equal(await pass(t)(structuredClone(model)), false, 'not without maxima');
  const probe = structuredClone(model);
  probe.graph.outputs = [{ name: 'm', dtype: 'float32', shape: null }];
  const seen = (await runModel(t, probe)).get('m') as HostTensor;
  const most = new Float32Array(CHANNELS);
  const values = seen.data as Float32Array;
  for (const [i, value] of values.entries()) {
    const channel = Math.floor(i / 36) % CHANNELS;
    most[channel] = Math.max(most[channel]!, value);
  }
  assert.ok(most.some((value) => value === 6) && most.some((value) => value < 0.01), `${most}`);
  const after = await checkPass(t, model, pass(t, new Map([['m', most]])));
  const [before, behind] = [await weightsOf(model, 'a'), await weightsOf(after, 'a')];
  for (const [channel, value] of most.entries()) {
    const factor = behind[3 * channel]! / before[3 * channel]!;
    assert.ok(value === 6 ? factor === 1 : factor * value <= 6 * (1 + 1e-6), `channel ${channel}: ${factor}`);
  }
  assert.ok(behind[0]! > 100 * before[0]!);
});

test('pairs with anything else between them, or with other users, stay', async (t) => {
  const kept: readonly Model[] = [
    pair([{ op: 'Sigmoid', inputs: ['a'], outputs: ['m'] }], flatBias),
    pair([clip()], { ...flatBias, ...limits }),
    pair([{ op: 'Clip', inputs: ['a', 'six'], outputs: ['m'] }], { ...flatBias, ...limits }),
    pair([{ op: 'Add', inputs: ['a', 'a'], outputs: ['m'] }], flatBias),
    pair([{ op: 'Concat', inputs: ['a', 'a'], outputs: ['m'], attributes: { axis: intValue(0) } }], flatBias),
    pair([{ op: 'Softmax', inputs: ['a'], outputs: ['m'], attributes: { axis: intValue(1) } }], flatBias),
  ];
  const seen = pair([relu], flatBias);
  seen.graph.outputs.push({ name: 'm', dtype: 'float32', shape: null });
  for (const model of [...kept, seen]) {
    const before = structuredClone(model);
    assert.equal(await pass(t)(model), false);
    assert.deepEqual(model, before);
  }
});

test('a weight that another layer uses is copied, and channels without values or weights do not break anything', async (t) => {
  const model = pair([relu], flatBias);
  model.graph.nodes.push({ ...model.graph.nodes[0]!, name: 'other', outputs: ['z'] });
  model.graph.outputs.push({ name: 'z', dtype: 'float32', shape: null });
  await checkPass(t, model, pass(t));

  const silent = pair([relu], flatBias);
  const [wa, wb] = [await weightsOf(silent, 'a'), await weightsOf(silent, 'b')];
  wa.fill(0, 0, 3);
  for (const i of wb.keys()) if (Math.floor(i / 9) % CHANNELS === 1) wb[i] = 0;
  silent.graph.initializers.set('wa', tensorFromFloats([CHANNELS, 3, 1, 1], wa));
  silent.graph.initializers.set('wb', tensorFromFloats([4, CHANNELS, 3, 3], wb));
  const after = await checkPass(t, silent, pass(t));
  for (const tensor of after.graph.initializers.values())
    assert.ok((await readFloats(tensor)).every((value) => Number.isFinite(value)));
});

test('int8 weights of uneven layers lose far less once they are equalized', async (t) => {
  const model = pair([relu], { ba: tensorFromFloats([CHANNELS], new Float32Array(CHANNELS)) });
  const exact = await runModel(t, model);
  const errorOf = async (candidate: Model) => {
    const quantized = structuredClone(candidate);
    for (const { weight, weightName, layout } of findLayers(quantized).layers) {
      const decoded = dequantizeInt8(quantizeInt8(await readFloats(weight), layout));
      quantized.graph.initializers.set(weightName, tensorFromFloats(weight.shape, decoded));
    }
    const got = (await runModel(t, quantized)).get('y')!.data as Float32Array;
    const want = exact.get('y')!.data as Float32Array;
    return got.reduce((sum, value, i) => sum + (value - want[i]!) ** 2, 0);
  };
  const before = await errorOf(model);
  await pass(t)(model);
  assertClose(await runModel(t, model), exact, 1e-5);
  assert.ok((await errorOf(model)) < before / 10, `${await errorOf(model)} against ${before}`);
});

test('pairs are found through what lies between them, with the bound of a Clip and the value behind it', async () => {
  const [found, ...others] = await findLayerPairs(
    pair(
      [
        clip('a', 'c'),
        { op: 'MaxPool', inputs: ['c'], outputs: ['m'], attributes: { kernel_shape: intsValue([1, 1]) } },
      ],
      limits,
    ),
  );
  assert.equal(others.length, 0);
  assert.deepEqual(
    [found!.producer.name, found!.consumers.map(({ name }) => name), found!.value, found!.bound],
    ['a', ['b'], 'c', 6],
  );
});
