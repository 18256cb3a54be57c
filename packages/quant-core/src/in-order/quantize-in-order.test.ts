import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { buildGraph, type QuantizedModel } from '../artifact/build-graph.js';
import { loadScratchModel, withOutputs } from '../calibrate/observed-model.js';
import { feedsOf } from '../data/feeds.js';
import { openDataset, planFeeds } from '../data/index.js';
import { relativeError } from '../fgq/index.js';
import { intsValue, type Model, readFloats, readTensor } from '../ir/index.js';
import { encodeWeights } from '../layers/encoded-weight.js';
import { readRows } from '../layers/weight-rows.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { randomTensor } from '../testing/random-tensor.js';
import { SMALL_SAMPLES, smallNetwork, writeSmallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { type InOrderOptions, quantizeInOrder } from './quantize-in-order.js';

const runtime = createOnnxRuntime();

async function calibrationOf(folder: string): Promise<JobDataset> {
  const { datasetPath } = await writeSmallNetwork(folder);
  const dataset = await openDataset(datasetPath, { preprocess: null, scratchDir: folder });
  const { inputs } = smallNetwork().graph;
  return { dataset, feedPlan: planFeeds(inputs, dataset.summary, null), digest: 'sha256:0' };
}

/** The small network, quantized in order. */
async function solved(folder: string, plain: QuantizedModel, recipe: Recipe, changes: Partial<InOrderOptions> = {}) {
  const calibration = await calibrationOf(folder);
  const scratch = new ScratchTensors(join(folder, 'solved.bin'));
  const weights = new Map(plain.weights);
  const order: string[] = [];
  const layers = await quantizeInOrder(plain, {
    recipe: resolveRecipe(recipe),
    calibration,
    maxSamples: undefined,
    runtime,
    scratchDir: folder,
    onLayer: async () => {},
    onSolved: async ({ layer }, { codes }) => {
      order.push(layer.node.name);
      const encoded = await encodeWeights(codes, await readRows(layer), layer, scratch);
      weights.set(layer.weight, encoded);
      return encoded.decoded;
    },
    ...changes,
  });
  return { network: { ...plain, layers, weights }, order, calibration };
}

/** Mean of each channel of values over all samples, [value][channel]. */
async function channelMeans(model: Model, values: string[], { dataset, feedPlan }: JobDataset, folder: string) {
  const options = { threads: 1, optimization: 'none' as const };
  const session = await loadScratchModel(withOutputs(model, values), { runtime, scratchDir: folder, options });
  const sums = values.map(() => new Map<number, number>());
  for await (const batch of dataset.batches({ batchSize: 1 })) {
    for (const { feeds } of feedsOf({ ...feedPlan, runSamples: 1 }, batch)) {
      const outputs = await session.run(feeds);
      for (const [i, name] of values.entries()) {
        const { data, shape } = outputs.get(name)!;
        const places = data.length / shape[1]!;
        (data as Float32Array).forEach((value, at) => {
          const channel = Math.floor(at / places);
          sums[i]!.set(channel, (sums[i]!.get(channel) ?? 0) + value / places / SMALL_SAMPLES);
        });
      }
    }
  }
  await session.release();
  return sums.map((sum) => [...sum.values()]);
}

const largestGap = (a: number[][], b: number[][]) =>
  Math.max(...a.map((row, i) => Math.max(...row.map((value, j) => Math.abs(value - b[i]![j]!)))));

/** Quantized to floats: values that layers compute in the graph that is checked. */
async function gapOfMeans(folder: string, network: QuantizedModel, calibration: JobDataset): Promise<number> {
  const outputs = network.layers.map(({ layer }) => layer.node.outputs[0]!);
  const graph = await buildGraph(network, { encoding: 'reference', minimumOpset: 13 });
  const named = graph.graph.nodes.filter(({ name }) => network.layers.some(({ layer }) => layer.node.name === name));
  const computed = outputs.map(
    (_, i) => named.find(({ name }) => name === network.layers[i]!.layer.node.name)!.outputs[0]!,
  );
  const original = await channelMeans(network.prepared, outputs, calibration, folder);
  return largestGap(original, await channelMeans(graph, computed, calibration, folder));
}

test('every output channel of every layer has the mean that it has in the original network', async (t) => {
  const folder = temporaryFolder(t);
  const plain = await quantizedNetwork(t, smallNetwork());
  const { network, order, calibration } = await solved(folder, plain, { correction: ['mean'] });
  assert.deepEqual(
    order,
    plain.layers.map(({ layer }) => layer.node.name),
  );
  assert.ok((await gapOfMeans(folder, plain, calibration)) > 0.05, 'without correction means differ');
  // Biases are rounded to int32 behind the correction, and a few activations then round the other way.
  const gap = await gapOfMeans(folder, network, calibration);
  assert.ok(gap < 5e-3, `a mean differs by ${gap}`);
});

/** A convolution, and a residual branch behind it; `seen` shows the branch to others than the addition. */
function residualNetwork(seen: boolean): Model {
  const pads = { pads: intsValue([1, 1, 1, 1]) };
  return tinyModel({
    inputs: [['image', 'float32', ['n', 3, 12, 12]]],
    outputs: [['sum', 'float32', null], ...(seen ? [['branch', 'float32', null] as const] : [])],
    nodes: [
      { op: 'Conv', name: 'stem', inputs: ['image', 'w0'], outputs: ['stream'], attributes: pads },
      { op: 'Relu', inputs: ['stream'], outputs: ['positive'] },
      { op: 'Conv', name: 'branch', inputs: ['positive', 'w1'], outputs: ['branch'], attributes: pads },
      { op: 'Add', inputs: ['stream', 'branch'], outputs: ['sum'] },
    ],
    constants: { w0: randomTensor([8, 3, 3, 3], 1, 0.3), w1: randomTensor([8, 8, 3, 3], 2, 0.2) },
  });
}

/** Mean squared difference of the sums that a network and its quantized one compute. */
async function errorOfSums(
  folder: string,
  network: QuantizedModel,
  { dataset, feedPlan }: JobDataset,
): Promise<number> {
  const graph = await buildGraph(network, { encoding: 'reference', minimumOpset: 13 });
  const options = { threads: 1, optimization: 'none' as const };
  const load = (model: Model) =>
    loadScratchModel(withOutputs(model, ['sum']), { runtime, scratchDir: folder, options });
  const sessions = [await load(network.prepared), await load(graph)];
  const sums: number[][] = [[], []];
  for await (const batch of dataset.batches({ batchSize: 1 })) {
    for (const { feeds } of feedsOf({ ...feedPlan, runSamples: 1 }, batch)) {
      for (const [i, session] of sessions.entries())
        sums[i]!.push(...((await session.run(feeds)).get('sum')!.data as Float32Array));
    }
  }
  for (const session of sessions) await session.release();
  return sums[0]!.reduce((total, value, i) => total + (value - sums[1]![i]!) ** 2, 0) / sums[0]!.length;
}

test('a residual branch makes up for what the stream has lost', async (t) => {
  const folder = temporaryFolder(t);
  const recipe: Recipe = { weights: { groupSize: 32 }, firstLast: { bits: 2 }, activations: { bits: null } };
  const errors: number[] = [];
  for (const seen of [true, false]) {
    const plain = await quantizedNetwork(t, residualNetwork(seen), recipe);
    const { network, calibration } = await solved(folder, plain, recipe);
    errors.push(await errorOfSums(folder, network, calibration));
  }
  assert.ok(errors[1]! < 0.9 * errors[0]!, `${errors[1]} against ${errors[0]}`);
});

test('codes stay those of the exact solver; only scales and biases are corrected', async (t) => {
  const folder = temporaryFolder(t);
  const plain = await quantizedNetwork(t, smallNetwork());
  const { network } = await solved(folder, plain, {
    weights: { solver: 'exact' },
    correction: ['mean', 'variance'],
  });
  let changedScales = 0;
  for (const [tensor, { codes, channelScales }] of network.weights) {
    const before = plain.weights.get(tensor)!;
    assert.deepEqual(codes, before.codes);
    if (codes.kind === 'int8') assert.deepEqual(channelScales, before.channelScales);
    else changedScales += channelScales.filter((scale, oc) => scale !== before.channelScales[oc]).length;
  }
  // Those of the layer that goes into a sum stay.
  assert.ok(changedScales > 20, `${changedScales} changed`);
});

test('error feedback finds other codes for 4-bit weights and for two planes, with channel scales that are corrected', async (t) => {
  const folder = temporaryFolder(t);
  const recipe: Recipe = {
    method: 'int4',
    weights: { groupSize: 8, solver: 'feedback' },
    layers: [{ match: { name: 'left' }, set: { bits: 2, planes: 2 } }],
  };
  const plain = await quantizedNetwork(t, smallNetwork(), recipe);
  const { network } = await solved(folder, plain, recipe);
  const kinds: string[] = [];
  for (const [tensor, { codes, decoded }] of network.weights) {
    if (codes.kind === 'int8' || codes.kind === 'int2') continue;
    const before = plain.weights.get(tensor)!;
    assert.ok(before.codes.kind === codes.kind);
    assert.deepEqual(codes.packed.shape, before.codes.packed.shape);
    assert.equal(codes.residual === null, before.codes.residual === null);
    assert.notDeepEqual(await readTensor(codes.packed), await readTensor(before.codes.packed));
    const error = relativeError(await readFloats(tensor), await readFloats(decoded!));
    assert.ok(error > 1e-3 && error < 0.3, `${codes.kind}: ${error}`);
    kinds.push(codes.residual === null ? codes.kind : 'two planes');
  }
  assert.deepEqual(kinds, ['int4', 'two planes', 'int4']);
});

test('the same request gives the same numbers again', async (t) => {
  const plain = await quantizedNetwork(t, smallNetwork());
  const recipe: Recipe = { weights: { solver: 'feedback', groupSize: 8 } };
  const runs: QuantizedModel[] = [];
  for (let i = 0; i < 2; i++) runs.push((await solved(temporaryFolder(t), plain, recipe)).network);
  for (const [i, { layer }] of runs[0]!.layers.entries()) {
    assert.deepEqual(layer.bias?.data, runs[1]!.layers[i]!.layer.bias?.data);
    const { codes, channelScales } = runs[0]!.weights.get(layer.weight)!;
    const again = runs[1]!.weights.get(layer.weight)!;
    assert.deepEqual([codes, channelScales], [again.codes, again.channelScales]);
  }
});

test('stops between two layers and leaves no files behind', async (t) => {
  const folder = temporaryFolder(t);
  const scratchDir = temporaryFolder(t);
  const plain = await quantizedNetwork(t, smallNetwork());
  const stop = new Error('stop');
  const onLayer = async (done: number) => {
    if (done === 2) throw stop;
  };
  const running = solved(folder, plain, { correction: ['mean'] }, { onLayer, scratchDir });
  await assert.rejects(running, stop);
  assert.deepEqual(await readdir(scratchDir), []);
});
