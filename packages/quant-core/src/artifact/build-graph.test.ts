import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { resolveRecipe } from '@tritforge/contracts';
import { settleActivationBits } from '../activations/activation-bits.js';
import { planActivations } from '../activations/plan-activations.js';
import { chooseRange } from '../calibrate/choose-range.js';
import { calibrate } from '../calibrate/index.js';
import { planFeeds } from '../data/feed-plan.js';
import { GraphIndex, type Model, readFloats, readTensor, scalarFloat } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { quantizeWeights } from '../layers/quantize-weights.js';
import { writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { HostTensor } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { memoryDataset } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { buildGraph, type QuantizedModel } from './build-graph.js';
import type { WeightEncoding } from './weight-encoders.js';

const SAMPLES = 16;
const SHAPE = [8, 6, 6];
const LARGEST_4_BIT = 15;
const runtime = createOnnxRuntime();
/** Keeps int8 kernels for x86 without VNNI from saturating. */
const EXACT = { 'session.x64quantprecision': '1' };

/** Signed values, a value behind a Relu and one behind a Clip to [0, 6], a residual connection, and a user in floats. */
function network(): Model {
  return tinyModel({
    inputs: [['x', 'float32', ['N', ...SHAPE]]],
    outputs: [
      ['y', 'float32', null],
      ['negated', 'float32', null],
    ],
    nodes: [
      { op: 'Conv', name: 'first', inputs: ['x', 'w1'], outputs: ['signed'] },
      { op: 'Conv', name: 'second', inputs: ['signed', 'w2'], outputs: ['c2'] },
      { op: 'Relu', inputs: ['c2'], outputs: ['relu'] },
      { op: 'Conv', name: 'third', inputs: ['relu', 'w3'], outputs: ['c3'] },
      { op: 'Clip', inputs: ['c3', 'zero', 'six'], outputs: ['clipped'] },
      { op: 'Conv', name: 'fourth', inputs: ['clipped', 'w4'], outputs: ['c4'] },
      { op: 'Add', inputs: ['c4', 'signed'], outputs: ['sum'] },
      { op: 'Conv', name: 'fifth', inputs: ['sum', 'w5'], outputs: ['c5'] },
      { op: 'Neg', inputs: ['signed'], outputs: ['negated'] },
      { op: 'Conv', name: 'last', inputs: ['c5', 'w6'], outputs: ['y'] },
    ],
    constants: {
      ...Object.fromEntries([1, 2, 3, 4, 5, 6].map((i) => [`w${i}`, randomTensor([8, 8, 1, 1], i, 0.6)])),
      zero: scalarFloat(0),
      six: scalarFloat(6),
    },
  });
}

function noise(): HostTensor {
  const normal = gaussian(seededRandom(3));
  const size = SHAPE.reduce((product, length) => product * length, SAMPLES);
  return { dtype: 'float32', shape: [SAMPLES, ...SHAPE], data: Float32Array.from({ length: size }, normal) };
}

/** The network with int8 weights, and 4-bit inputs for all layers but the ends. */
async function quantized(t: TestContext): Promise<QuantizedModel> {
  const prepared = network();
  const folder = temporaryFolder(t);
  const recipe = resolveRecipe({ method: 'int8', activations: { bits: 4 } });
  const wanted = planLayers(findLayers(prepared).layers, recipe);
  const activations = await planActivations(prepared.graph, wanted, recipe.activations.shortcuts);
  const layers = settleActivationBits(wanted, activations);
  const dataset = memoryDataset({ x: noise() });
  const { histograms } = await calibrate({
    model: prepared,
    values: activations.observed,
    dataset,
    feedPlan: planFeeds(prepared.graph.inputs, dataset.summary, null),
    runtime,
    scratchDir: folder,
  });
  const scales = new Map(
    [...histograms].map(([name, histogram]) => {
      const nonNegative = activations.nonNegative.has(name);
      return [name, chooseRange(histogram, { method: 'mse', nonNegative, maxCode: activations.maxCodes.get(name)! })];
    }),
  );
  const { recipe: weights } = await quantizeWeights(layers, {
    scratch: new ScratchTensors(join(folder, 'tensors.bin')),
    smallestInputScale: ({ node }) => scales.get(activations.values.get(node.inputs[0]!)!.rangeOf)!.scale,
    onLayer: async () => {},
  });
  return { prepared, layers, activations, scales, weights };
}

const ENCODINGS: readonly WeightEncoding[] = ['portable', 'compat', 'reference'];
const FOUR_BIT = ['signed', 'relu', 'clipped', 'sum'];

/** Outputs of a model by name, of the noise. */
async function run(t: TestContext, model: Model, optimization: 'all' | 'none') {
  const path = join(temporaryFolder(t), 'model.onnx');
  await writeModel(model, path, { externalData: 'by-reference' });
  const session = await runtime.load(path, { threads: 1, optimization, config: EXACT });
  try {
    return await session.run(new Map([['x', noise()]]));
  } finally {
    await session.release();
  }
}

test('codes of 4 bits are clipped right behind QuantizeLinear, and nothing sees them unclipped', async (t) => {
  const source = await quantized(t);
  assert.deepEqual(
    [...source.scales]
      .filter(([, { maxCode }]) => maxCode === LARGEST_4_BIT)
      .map(([name]) => name)
      .sort(),
    FOUR_BIT.toSorted(),
  );
  assert.ok(source.scales.get('signed')!.zeroPoint > 0);
  for (const encoding of ENCODINGS) {
    const { graph } = await buildGraph(source, { encoding, minimumOpset: 14 });
    const index = new GraphIndex(graph);
    const clips = graph.nodes.filter(({ opType }) => opType === 'Clip');
    assert.deepEqual(clips.map(({ outputs }) => outputs[0]).sort(), FOUR_BIT.map((name) => `${name}_uint8`).sort());
    for (const clip of clips) {
      const rounded = index.producerOf(clip.inputs[0]!)!;
      assert.equal(rounded.opType, 'QuantizeLinear');
      assert.deepEqual(index.consumersOf(clip.inputs[0]!), [clip]);
      assert.deepEqual([...(await readTensor(graph.initializers.get(clip.inputs[2]!)!))], [LARGEST_4_BIT]);
      const [reader] = index.consumersOf(clip.outputs[0]!);
      assert.equal(reader!.opType, 'DequantizeLinear');
      assert.deepEqual(reader!.inputs.slice(1), rounded.inputs.slice(1));
    }
    const scaleOf = async (name: string) => {
      const reader = graph.nodes.find(({ opType, inputs }) => opType === 'DequantizeLinear' && inputs[0] === name)!;
      return (await readFloats(graph.initializers.get(reader.inputs[1]!)!))[0];
    };
    for (const name of FOUR_BIT) assert.equal(await scaleOf(`${name}_uint8`), source.scales.get(name)!.scale);
  }
});

test('run as written and fused, codes of 4 bits are round(x / scale) + zero point within 0 and 15', async (t) => {
  const source = await quantized(t);
  for (const encoding of ENCODINGS) {
    const model = await buildGraph(source, { encoding, minimumOpset: 14 });
    const produced = new GraphIndex(model.graph);
    const observed = FOUR_BIT.map((name) => {
      const clip = produced.producerOf(`${name}_uint8`)!;
      return { name, codes: `${name}_uint8`, floats: produced.producerOf(clip.inputs[0]!)!.inputs[0]! };
    });
    const withCodes = (names: readonly string[], dtype: 'uint8' | 'float32') => ({
      ...model,
      graph: {
        ...model.graph,
        outputs: [...model.graph.outputs, ...names.map((name) => ({ name, dtype, shape: null }))],
      },
    });
    const codeNames = observed.map(({ codes }) => codes);
    const written = await run(t, withCodes(codeNames, 'uint8'), 'none');
    // The reference, with its weights in floats, only ever runs as written.
    const fused = encoding === 'reference' ? written : await run(t, withCodes(codeNames, 'uint8'), 'all');
    const floats = await run(
      t,
      withCodes(
        observed.map(({ floats: name }) => name),
        'float32',
      ),
      'none',
    );
    for (const { name, codes, floats: before } of observed) {
      const { scale, zeroPoint } = source.scales.get(name)!;
      const expected = Array.from(floats.get(before)!.data as Float32Array, (value) =>
        Math.min(LARGEST_4_BIT, Math.max(0, roundHalfToEven(Math.fround(value / scale)) + zeroPoint)),
      );
      assert.deepEqual([...(written.get(codes)!.data as Uint8Array)], expected, `${encoding} ${name}`);
      assert.ok(expected.includes(LARGEST_4_BIT), `${name} has no value to clip`);
      assert.deepEqual([...(fused.get(codes)!.data as Uint8Array)], expected, `${encoding} ${name}, fused`);
    }
    const { scale, zeroPoint } = source.scales.get('signed')!;
    const codes = written.get('signed_uint8')!.data as Uint8Array;
    const negated = written.get('negated')!.data as Float32Array;
    const readBack = (code: number, i: number) => negated[i]! + Math.fround((code - zeroPoint) * scale) === 0;
    assert.ok(codes.every(readBack), 'a user in floats sees the clipped codes');
  }
});

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
