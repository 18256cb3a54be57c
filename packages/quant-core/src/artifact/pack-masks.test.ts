import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Model, type Tensor, tensorFromBytes, tensorFromFloats } from '../ir/index.js';
import { checkPass, runModel } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { packMasks } from './pack-masks.js';

const SIZE = 99;
const lower = (below: number, above: number) =>
  tensorFromFloats(
    [SIZE, SIZE],
    Float32Array.from({ length: SIZE * SIZE }, (_, i) => (i % SIZE > Math.floor(i / SIZE) ? above : below)),
  );

/** Adds a mask to the input. */
const masked = (mask: Tensor): Model =>
  tinyModel({
    inputs: [['x', 'float32', [SIZE, SIZE]]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Add', inputs: ['x', 'mask'], outputs: ['y'] }],
    constants: { mask },
  });

const byteLengths = ({ graph }: Model) =>
  [...graph.initializers.values()].reduce((sum, { data }) => sum + (data.kind === 'memory' ? data.bytes.length : 0), 0);

test('a mask of two floats takes a bit per element and computes the same', async (t) => {
  const after = await checkPass(t, masked(lower(0, -1e9)), packMasks, 0);
  assert.ok(byteLengths(after) < SIZE * SIZE * 0.125 + 2200, `${byteLengths(after)} bytes`);
});

test('infinity and negative zero stay what they are', async (t) => {
  const feeds = new Map([
    ['x', { dtype: 'float32' as const, shape: [SIZE, SIZE], data: new Float32Array(SIZE * SIZE).fill(-0) }],
  ]);
  const model = masked(lower(-0, Number.NEGATIVE_INFINITY));
  const before = (await runModel(t, model, feeds)).get('y')!;
  assert.equal(await packMasks(model), true);
  const after = (await runModel(t, model, feeds)).get('y')!;
  assert.ok(Object.is((after.data as Float32Array)[0], -0));
  assert.deepEqual(after.data, before.data);
});

test('a mask of bools is packed too', async (t) => {
  const bytes = Uint8Array.from({ length: SIZE * SIZE }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const model = tinyModel({
    inputs: [['x', 'float32', [SIZE, SIZE]]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Where', inputs: ['mask', 'x', 'zero'], outputs: ['y'] }],
    constants: { mask: tensorFromBytes('bool', [SIZE, SIZE], bytes), zero: tensorFromFloats([], Float32Array.of(0)) },
  });
  await checkPass(t, model, packMasks, 0);
  const odd = {
    ...model.graph.initializers.get('mask')!,
    data: { kind: 'memory' as const, bytes: bytes.map((bit) => 255 * bit) },
  };
  model.graph.initializers.set('mask', odd);
  assert.equal(await packMasks(model), false);
});

test('other constants, small ones and outputs are left alone', async () => {
  const third = lower(0, 1);
  assert.equal(await packMasks(masked(randomTensor([SIZE, SIZE], 1))), false);
  const values = new Float32Array(SIZE * SIZE);
  values.set([1, 2], SIZE);
  assert.equal(await packMasks(masked(tensorFromFloats([SIZE, SIZE], values))), false);
  assert.equal(await packMasks(masked(tensorFromFloats([1, 2], Float32Array.of(0, 1)))), false);
  const output = masked(third);
  output.graph.outputs.push({ name: 'mask', dtype: 'float32', shape: null });
  assert.equal(await packMasks(output), false);
});
