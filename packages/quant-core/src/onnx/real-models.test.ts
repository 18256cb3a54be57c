import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectModel } from '../inspect.js';
import { type Attribute, inferShapes, type Model, readTensor, type Tensor, walkGraphs } from '../ir/index.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { unpackModels } from '../testing/unpack-models.js';
import { readModel } from './read-model.js';
import { outcomeOf } from './testing.js';
import { writeModel } from './write-model.js';

/** A model as plain data, tensors as their bytes. */
async function flatten(model: Model): Promise<unknown> {
  const tensors: Promise<unknown>[] = [];
  const bytesOf = async (tensor: Tensor) => [
    tensor.dtype,
    tensor.shape,
    Buffer.from(await readTensor(tensor)).toString('base64'),
  ];
  const plain = ([name, attribute]: [string, Attribute]) => {
    if (attribute.kind === 'tensor') tensors.push(bytesOf(attribute.value));
    return attribute.kind === 'tensor' || attribute.kind === 'graph' ? [name, attribute.kind] : [name, attribute];
  };
  const scopes: unknown[] = [];
  walkGraphs(model, ({ nodes, graph }) => {
    for (const tensor of graph?.initializers.values() ?? []) tensors.push(bytesOf(tensor));
    const values = [...(graph?.inputs ?? []), ...(graph?.outputs ?? []), ...(graph?.valueInfo.values() ?? [])];
    scopes.push(
      nodes.map(({ name, opType, domain, inputs, outputs, attributes }) => [
        name,
        opType,
        domain,
        inputs,
        outputs,
        [...attributes].map(plain),
      ]),
      values.map(({ name, dtype, shape }) => [name, dtype, shape]),
      [...(graph?.initializers.keys() ?? [])],
    );
  });
  return [model.irVersion, [...model.opsetImports], model.producer, scopes, await Promise.all(tensors)];
}

async function survivesRoundTrip(path: string, folder: string): Promise<void> {
  const model = await readModel(path);
  const copy = join(folder, 'copy.onnx');
  await writeModel(model, copy);
  assert.deepEqual(await flatten(await readModel(copy)), await flatten(model), path);
}

/** Forgets what the file says of computed values and compares what inference says of the outputs with it. */
async function infersItsOutputs(path: string): Promise<void> {
  const { graph, ...model } = await readModel(path);
  const blank = {
    ...graph,
    valueInfo: new Map(),
    outputs: graph.outputs.map((o) => ({ ...o, dtype: 'undefined' as const, shape: null })),
  };
  const shapes = inferShapes({ ...model, graph: blank });
  for (const declared of graph.outputs) {
    const found = shapes.get(declared.name);
    assert.equal(found?.dtype, declared.dtype, `${path}: ${declared.name}`);
    const sizes = declared.shape?.map((size, axis) => (typeof size === 'number' ? found?.shape?.[axis] : size));
    assert.deepEqual(sizes, declared.shape, `${path}: ${declared.name}`);
  }
}

const models = existsSync(sharedData('models')) ? readdirSync(sharedData('models')) : [];

test('every real model survives reading and writing', { skip: skipWithout('models') }, async (t) => {
  const folder = temporaryFolder(t);
  assert.ok(models.length > 0);
  for (const name of models) await survivesRoundTrip(sharedData('models', name), folder);
});

/** From the published papers and the exporters: layers with weights and multiply-accumulates per sample. */
const EXPECTED: Readonly<Record<string, readonly [layers: number, parameters: number, macs: number | null]>> = {
  'ad01_autoencoder_mlperftiny.onnx': [10, 269_992, 264_192],
  'mnist.onnx': [3, 5994, 786_560],
  'mobilenet_v1_0.75.onnx': [28, 2_601_978, 325_400_448],
  'resnet20_cifar10.onnx': [20, 271_098, 40_551_040],
  'resnet8_cifar10_mlperftiny.onnx': [10, 78_666, 12_501_632],
  'silero_vad_16k.onnx': [6, 309_636, null],
  'squeezenet1.1.onnx': [26, 1_235_496, 349_151_936],
  // 35 of the blocks, the head and the embedding.
  'stories260K.onnx': [37, 559_043, null],
};
for (const [name, [layers, parameters, macs]] of Object.entries(EXPECTED)) {
  test(`${name} has ${layers} layers with weights`, { skip: skipWithout(`models/${name}`) }, async () => {
    const summary = await inspectModel(sharedData('models', name));
    assert.deepEqual([summary.quantizableLayers, summary.parameters, summary.macs], [layers, parameters, macs]);
    assert.equal(summary.layers.length, layers);
  });
}

const LIGHT = 'peers/onnx_light_models.tar.gz';
test('nine published topologies survive reading and writing and pass validation', {
  skip: skipWithout(LIGHT),
}, async (t) => {
  const folder = temporaryFolder(t);
  const paths = await unpackModels(sharedData(LIGHT), folder);
  assert.equal(paths.length, 9);
  for (const path of paths) {
    await survivesRoundTrip(path, folder);
    await infersItsOutputs(path);
    assert.equal(await outcomeOf(inspectModel(path)), 'ok', path);
  }
});

const NODES = 'peers/onnx_node_quant_rel-1.22.0.tar.gz';
test('of 45 tests of quantization operators exactly those with activations below a byte are refused', {
  skip: skipWithout(NODES),
}, async (t) => {
  const folder = temporaryFolder(t);
  const paths = await unpackModels(sharedData(NODES), folder);
  assert.equal(paths.length, 45);
  for (const path of paths) {
    await survivesRoundTrip(path, folder);
    await infersItsOutputs(path);
    const expected = /_u?int[24]\/|_float4/.test(path) ? 'MODEL_UNSUPPORTED_DTYPE' : 'ok';
    assert.equal(await outcomeOf(inspectModel(path)), expected, path);
  }
});
