import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { TritforgeError } from '@tritforge/contracts';
import { buildGraph } from '../artifact/build-graph.js';
import { elementCount, type Model, tensorFromFloats } from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import { floats } from '../testing/memory-dataset.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { smallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { type PrefixOptions, PrefixRunner } from './prefix-runner.js';
import { assertSameBits, countingRuntime, folderBytes, runWhole, singleRuns } from './testing.js';

const RESNET = 'models/resnet20_cifar10.onnx';

function noise(name: string, shape: readonly number[], count: number): Feeds[] {
  const random = seededRandom(3);
  return Array.from(
    { length: count },
    () =>
      new Map([
        [
          name,
          floats(
            shape,
            Float32Array.from({ length: elementCount(shape) }, () => 3 * random() - 1),
          ),
        ],
      ]),
  );
}

const images = (count: number) => noise('image', [1, 3, 12, 12], count);

/** Input and output of every convolution and matrix product, in graph order. */
function layerStops({ graph }: Model): string[][] {
  return graph.nodes
    .filter(({ opType }) => ['Conv', 'Gemm', 'MatMul'].includes(opType))
    .map(({ inputs, outputs }) => [inputs[0]!, outputs[0]!]);
}

function open(t: TestContext, model: Model, feeds: readonly Feeds[], options: Partial<PrefixOptions>) {
  return PrefixRunner.open(model, {
    runs: singleRuns(feeds),
    stops: [],
    runtime: createOnnxRuntime(),
    scratchDir: temporaryFolder(t),
    ...options,
  });
}

/** Goes through the stops and compares every value with what the whole model gives. */
async function checkAgainstWhole(
  t: TestContext,
  model: Model,
  feeds: readonly Feeds[],
  stops: readonly (readonly string[])[],
  options: Partial<PrefixOptions> = {},
): Promise<void> {
  const whole = await runWhole(model, [...new Set(stops.flat())], feeds, temporaryFolder(t));
  const runner = await open(t, model, feeds, { stops, ...options });
  for (const stop of stops) {
    await runner.advance(stop);
    for (const name of stop) {
      const values = runner.values(name);
      for (const [run, fed] of feeds.entries()) {
        const expected = whole[run]!.get(name) ?? fed.get(name)!;
        assert.deepEqual([...values.shape(run)], [...expected.shape]);
        assertSameBits(await values.read(run), expected, `${name} of run ${run}`);
      }
    }
  }
  await runner.close();
}

for (const [where, memoryBytes] of [
  ['memory', 2 ** 30],
  ['scratch files', 0],
  ['both', 20_000],
] as const) {
  test(`values in ${where} are bit for bit those of the whole network`, async (t) => {
    const model = smallNetwork();
    await checkAgainstWhole(t, model, images(5), [...layerStops(model), ['logits']], { memoryBytes });
  });
}

test('values of a quantized network are bit for bit those of the whole, codes included', async (t) => {
  const source = await quantizedNetwork(t, smallNetwork(), { firstLast: { bits: 2 } });
  const model = await buildGraph(source, { encoding: 'portable', minimumOpset: 17 });
  const every = model.graph.nodes.filter(({ opType }) => opType.endsWith('QuantizeLinear') || opType === 'Conv');
  const stops = every.filter(({ inputs }) => !model.graph.initializers.has(inputs[0]!)).map(({ outputs }) => outputs);
  await checkAgainstWhole(t, model, images(3), stops, { memoryBytes: 10_000 });
});

test('every node runs once per sample, and those that no stop needs never run', async (t) => {
  const model = smallNetwork();
  const { runtime, ran } = countingRuntime();
  const stops = layerStops(model);
  const runner = await open(t, model, images(4), { stops, runtime });
  for (const stop of stops) await runner.advance(stop);
  await runner.close();
  assert.deepEqual(Object.fromEntries(ran), Object.fromEntries(model.graph.nodes.map(({ name }) => [name, 4])));

  ran.clear();
  const partial = await open(t, model, images(4), { stops: [['left.r']], runtime });
  await partial.advance(['left.r']);
  await partial.close();
  const runsOf = (name: string) => ran.get(name);
  assert.deepEqual(['stem', 'left', 'right', 'classifier'].map(runsOf), [4, 4, undefined, undefined]);
});

test('stops need not depend on each other, nor be in graph order', async (t) => {
  await checkAgainstWhole(t, smallNetwork(), images(2), [['right.r'], ['left.r'], ['stem.r', 'right.r'], ['logits']]);
});

test('graph inputs, initializers and repeated values can be asked for', async (t) => {
  const model = smallNetwork();
  const stops = [['image', 'fc'], ['stem.r'], ['stem.r', 'image'], ['fc', 'logits']];
  const feeds = images(2);
  const runner = await open(t, model, feeds, { stops });
  for (const stop of stops) {
    await runner.advance(stop);
    for (const name of stop) {
      const value = await runner.read(name, 1);
      if (name === 'image') assertSameBits(value, feeds[1]!.get('image')!, name);
      if (name === 'fc') assert.deepEqual([value.dtype, value.shape], ['float32', [10, 24]]);
    }
  }
  await runner.close();
});

test('initializers may change until a node that uses them has run', async (t) => {
  const model = smallNetwork();
  const feeds = images(3);
  const other = (name: string) => randomTensor(model.graph.initializers.get(name)!.shape, 77, 0.3);
  const changed = smallNetwork();
  for (const name of ['down.w', 'fc']) changed.graph.initializers.set(name, other(name));
  const whole = await runWhole(changed, ['sum', 'logits'], feeds, temporaryFolder(t));

  const runner = await open(t, model, feeds, { stops: [['depthwise.r'], ['sum'], ['logits']] });
  const replacing = (...names: string[]) => ({ initializers: new Map(names.map((name) => [name, other(name)])) });
  await runner.advance(['depthwise.r'], replacing('fc'));
  await runner.advance(['sum'], replacing('down.w'));
  assertSameBits(await runner.read('sum', 2), whole[2]!.get('sum')!, 'sum');
  await runner.advance(['logits']);
  assertSameBits(await runner.read('logits', 2), whole[2]!.get('logits')!, 'logits');

  const late = await open(t, model, feeds, { stops: [['sum'], ['logits']] });
  await late.advance(['sum']);
  await assert.rejects(late.advance(['logits'], replacing('down.w')), /"down\.w" was used by a node that ran/);
  const odd = await open(t, model, feeds, { stops: [['sum']] });
  const wrong = new Map([['down.w', tensorFromFloats([1], Float32Array.of(1))]]);
  await assert.rejects(odd.advance(['sum'], { initializers: wrong }), /is float32 \[16,8,3,3\], not float32 \[1\]/);
});

test('values of any shape and type cross stops, and subgraphs find what they capture', async (t) => {
  const model = controlFlow();
  const random = seededRandom(9);
  const feeds = [3, 1, 6].map(
    (rows, i): Feeds =>
      new Map<string, HostTensor>([
        [
          'x',
          floats(
            [rows, 4],
            Float32Array.from({ length: rows * 4 }, () => random() - 0.5),
          ),
        ],
        ['flag', { dtype: 'bool', shape: [], data: Uint8Array.of(i % 2) }],
      ]),
  );
  const stops = [['h'], ['size'], ['positive'], ['places'], ['chosen'], ['repeated'], ['y']];
  await checkAgainstWhole(t, model, feeds, stops, { memoryBytes: 30 });
});

/** Dynamic shapes, int64 and bool values, an If and a Loop whose bodies use values and constants of the main graph. */
function controlFlow(): Model {
  const value = (name: string, dtype: 'float32' | 'int64' | 'bool') => ({ name, dtype, shape: null });
  const body = (text: Parameters<typeof tinyModel>[0]) => ({ kind: 'graph' as const, value: tinyModel(text).graph });
  const branch = (name: string, other: string) =>
    body({
      inputs: [],
      outputs: [[name, 'float32', null]],
      nodes: [{ op: 'MatMul', name, inputs: [other, 'w'], outputs: [name] }],
    });
  const model = tinyModel({
    inputs: [
      ['x', 'float32', ['N', 4]],
      ['flag', 'bool', []],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
      { op: 'Relu', inputs: ['x'], outputs: ['r'] },
      { op: 'Shape', inputs: ['h'], outputs: ['size'] },
      { op: 'Greater', inputs: ['h', 'zero'], outputs: ['positive'] },
      { op: 'NonZero', inputs: ['positive'], outputs: ['places'] },
      {
        op: 'If',
        inputs: ['flag'],
        outputs: ['chosen'],
        attributes: { then_branch: branch('t', 'h'), else_branch: branch('e', 'r') },
      },
      { op: 'Gather', inputs: ['size', 'index'], outputs: ['trips'] },
      {
        op: 'Loop',
        inputs: ['trips', '', 'chosen'],
        outputs: ['repeated'],
        attributes: {
          body: body({
            inputs: [
              ['i', 'int64', []],
              ['go', 'bool', []],
              ['state', 'float32', null],
            ],
            outputs: [
              ['on', 'bool', []],
              ['next', 'float32', null],
            ],
            nodes: [
              { op: 'Identity', inputs: ['go'], outputs: ['on'] },
              { op: 'Add', inputs: ['state', 'h'], outputs: ['sum'] },
              { op: 'Tanh', inputs: ['sum'], outputs: ['next'] },
            ],
          }),
        },
      },
      { op: 'Add', inputs: ['repeated', 'bias'], outputs: ['y'] },
    ],
    constants: {
      w: randomTensor([4, 4], 1),
      zero: randomTensor([], 1, 0),
      bias: randomTensor([4], 2),
      index: { dtype: 'int64', shape: [], data: { kind: 'memory', bytes: new Uint8Array(8) } },
    },
  });
  model.graph.valueInfo.set('h', value('h', 'float32'));
  return model;
}

test('what is not a tensor is computed again where it is needed, and cannot be asked for', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 4]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Tanh', name: 'tanh', inputs: ['x'], outputs: ['h'] },
      { op: 'SequenceConstruct', name: 'pack', inputs: ['x', 'h'], outputs: ['both'] },
      { op: 'SequenceAt', name: 'take', inputs: ['both', 'one'], outputs: ['second'] },
      {
        op: 'ConcatFromSequence',
        name: 'join',
        inputs: ['both'],
        outputs: ['y'],
        attributes: { axis: { kind: 'int', value: 0n } },
      },
    ],
    constants: {
      one: { dtype: 'int64', shape: [], data: { kind: 'memory', bytes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) } },
    },
  });
  const { runtime, ran } = countingRuntime();
  await checkAgainstWhole(t, model, noise('x', [2, 4], 3), [['second'], ['y']], { runtime });
  assert.deepEqual(Object.fromEntries(ran), { tanh: 3, pack: 6, take: 3, join: 3 });
  await assert.rejects(open(t, model, noise('x', [2, 4], 1), { stops: [['both']] }), (error: TritforgeError) => {
    return error.code === 'MODEL_UNSUPPORTED_DTYPE' && error.message.includes('"both"');
  });
});

test('copies that fill a fixed batch are cut off', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [4, 2]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Tanh', inputs: ['x'], outputs: ['h'] },
      { op: 'CumSum', inputs: ['h', 'axis'], outputs: ['y'] },
    ],
    constants: { axis: { dtype: 'int32', shape: [], data: { kind: 'memory', bytes: new Uint8Array(4) } } },
  });
  const [feeds] = noise('x', [4, 2], 1);
  const runs = [{ feeds: feeds!, samples: 3, padding: 1 }];
  const runner = await open(t, model, [], { runs, stops: [['h'], ['y']] });
  await runner.advance(['h']);
  assert.deepEqual(runner.values('h').shape(0), [3, 2]);
  await runner.advance(['y']);
  const [whole] = await runWhole(model, ['y'], [feeds!], temporaryFolder(t));
  const y = await runner.read('y', 0);
  assert.deepEqual(y.shape, [3, 2]);
  assert.deepEqual(y.data, (whole!.get('y')!.data as Float32Array).subarray(0, 6));
});

test('scratch files hold what is still needed, and are gone when the runner is closed', async (t) => {
  const scratchDir = temporaryFolder(t);
  const stops = [['stem.r'], ['depthwise.r'], ['sum.r'], ['joined'], ['logits']];
  const runner = await open(t, smallNetwork(), images(3), { stops, scratchDir, memoryBytes: 0 });
  const sizes: number[] = [];
  for (const stop of stops) {
    await runner.advance(stop);
    sizes.push((await folderBytes(scratchDir)) / (3 * 4));
  }
  // stem.r is asked for, then feeds the shortcut; the pad of the shortcut is not computed before `sum` needs it.
  const [stem, sum, joined] = [8 * 144, 16 * 36, 24 * 9];
  assert.deepEqual(sizes, [stem, 2 * stem, sum, joined, 10]);
  await runner.close();
  await runner.close();
  assert.deepEqual(readdirSync(scratchDir), []);
  assert.throws(() => runner.values('logits'), /did not ask/);
});

test('a failed or canceled run leaves no files', async (t) => {
  const scratchDir = temporaryFolder(t);
  const stops = [['stem.r'], ['logits']];
  const shared = { stops, scratchDir, memoryBytes: 0 };
  const badFeeds = [...images(2), ...noise('image', [1, 4, 12, 12], 1)];
  const failing = await open(t, smallNetwork(), badFeeds, shared);
  await assert.rejects(failing.advance(['stem.r']), { code: 'MODEL_RUN_FAILED' });
  assert.deepEqual(readdirSync(scratchDir), []);

  const controller = new AbortController();
  const canceled = await open(t, smallNetwork(), images(2), { ...shared, signal: controller.signal });
  await canceled.advance(['stem.r']);
  controller.abort();
  await assert.rejects(canceled.advance(['logits']), { code: 'CANCELED' });
  await assert.rejects(canceled.advance(['logits']), /closed/);
  await assert.rejects(open(t, smallNetwork(), [], shared), { code: 'DATASET_EMPTY' });
  await assert.rejects(open(t, smallNetwork(), images(1), { ...shared, stops: [['nothing']] }), /no value "nothing"/);
  assert.deepEqual(readdirSync(scratchDir), []);
});

test('only the values of the announced stop can be asked for and read', async (t) => {
  const stops = [['stem.r'], ['logits']];
  const runner = await open(t, smallNetwork(), images(1), { stops });
  assert.throws(() => runner.values('stem.r'), /did not ask for value "stem\.r"/);
  await runner.advance(['stem.r']);
  await assert.rejects(runner.read('stem.r', 1), /not stored for run 1/);
  await runner.advance(['logits']);
  assert.throws(() => runner.values('stem.r'), /did not ask/);
  await assert.rejects(runner.advance(['logits']), /no stop left/);
  const other = await open(t, smallNetwork(), images(1), { stops });
  await assert.rejects(other.advance(['logits']), /the next stop is \[stem\.r\], not \[logits\]/);
});

test('ResNet-20 gives bit for bit the values of the whole, each node once', {
  skip: skipWithout(RESNET),
}, async (t) => {
  const model = await readModel(sharedData(RESNET));
  const { runtime, ran } = countingRuntime();
  const feeds = noise('input', [1, 3, 32, 32], 2);
  await checkAgainstWhole(t, model, feeds, layerStops(model), { runtime, memoryBytes: 200_000 });
  const layers = model.graph.nodes.filter(({ opType }) => opType === 'Conv' || opType === 'Gemm');
  assert.deepEqual(
    layers.map(({ name }) => ran.get(name)),
    layers.map(() => 2),
  );
});
