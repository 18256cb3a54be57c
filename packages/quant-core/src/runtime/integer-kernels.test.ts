/** What onnxruntime makes of artifacts when it loads them. Lies here because only this folder may load onnxruntime itself. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { writeNpz } from '../data/index.js';
import { syntheticFeeds } from '../evaluate/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { quantize } from '../quantize.js';
import { seededRandom } from '../testing/random.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { shortcutNetwork } from '../testing/shortcut-network.js';
import { writeSmallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { createOnnxRuntime } from './onnx-runtime.js';
import type { HostTensor } from './runtime.js';

process.env.ORT_DISABLE_TELEMETRY = '1';
const ort = await import('onnxruntime-node');

/** Operators of the model after onnxruntime has rewritten it, with their number. */
async function operatorsWhenLoaded(t: TestContext, modelPath: string): Promise<Record<string, number>> {
  const optimizedModelFilePath = join(temporaryFolder(t), 'optimized.onnx');
  const session = await ort.InferenceSession.create(modelPath, { optimizedModelFilePath, logSeverityLevel: 4 });
  await session.release();
  const counts: Record<string, number> = {};
  for (const { opType } of (await readModel(optimizedModelFilePath)).graph.nodes)
    counts[opType] = (counts[opType] ?? 0) + 1;
  return counts;
}

async function outputsOf(modelPath: string): Promise<ReadonlyMap<string, HostTensor>> {
  const session = await createOnnxRuntime().load(modelPath, { threads: 1, optimization: 'all' });
  const outputs = await session.run(syntheticFeeds(session.inputs, 11));
  await session.release();
  return outputs;
}

/** Of the portable, the compatible and the accelerated artifact, what is left when they are loaded. */
async function artifactOperators(
  t: TestContext,
  modelPath: string,
  calibration: string,
  bits: 8 | 4 | 3 | 2,
  activations: Recipe['activations'] = {},
): Promise<Record<string, number>[]> {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'scratch'));
  const report = await quantize(
    {
      modelPath,
      recipe: {
        // Of 2 bits throughout.
        ...(bits === 2 && { method: 'uniform' }),
        weights: { solver: 'exact', ...(bits !== 2 && { groupSize: 4 }) },
        artifacts: ['portable', 'compat', 'accelerated'],
        activations: { bits, range: 'minmax', minimumSqnrDb: null, ...activations },
      },
      outputDir: folder,
      scratchDir: join(folder, 'scratch'),
      fileStem: 'model',
      calibration: { path: calibration },
    },
    { runtime: createOnnxRuntime() },
  );
  const operators: Record<string, number>[] = [];
  for (const { fileName } of report.artifacts) operators.push(await operatorsWhenLoaded(t, join(folder, fileName)));
  const [portable, , accelerated] = operators;
  const outputs: unknown[] = [];
  for (const { fileName } of report.artifacts) outputs.push(await outputsOf(join(folder, fileName)));
  assert.deepEqual(outputs[2], outputs[0], 'the accelerated artifact computes what the portable one does');
  assert.ok(accelerated!.Transpose! <= portable!.Transpose!, 'transpositions around functions are left');
  return operators;
}

/** A calibration file of a few random images for a model of the given input. */
async function noise(t: TestContext, name: string, sizes: readonly number[]): Promise<string> {
  const path = join(temporaryFolder(t), 'noise.npz');
  const random = seededRandom(1);
  const count = 4 * sizes.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length: count }, () => 4 * random() - 2);
  await writeNpz(path, new Map([[name, { dtype: 'float32' as const, shape: [4, ...sizes], data }]]));
  return path;
}

for (const [bits, clipped] of [
  [8, {}],
  // The outputs of the depthwise convolution and of the residual connection.
  [4, { Clip: 2 }],
  [2, { Clip: 2 }],
] as const) {
  test(`of the small network with ${bits}-bit inputs only integer kernels and the first quantization are left, in all profiles`, async (t) => {
    const folder = temporaryFolder(t);
    const { modelPath } = await writeSmallNetwork(folder);
    for (const operators of await artifactOperators(t, modelPath, await noise(t, 'image', [3, 12, 12]), bits)) {
      const { Transpose: _, Slice, Pad, Concat, Flatten, NhwcMaxPool, ...computing } = operators;
      assert.deepEqual([Slice, Pad, Concat, Flatten, NhwcMaxPool], [1, 1, 1, 1, 1]);
      assert.deepEqual(computing, {
        QuantizeLinear: 1,
        QLinearConv: 5,
        QLinearAdd: 1,
        QLinearGlobalAveragePool: 1,
        QGemm: 1,
        ...clipped,
      });
    }
  });
}

for (const bits of [4, 3, 2] as const) {
  test(`with wide shortcuts of ${bits} bits convolutions, Add and Concat stay integer kernels, and branches are quantized alone`, async (t) => {
    const modelPath = join(temporaryFolder(t), 'shortcuts.onnx');
    await writeModel(shortcutNetwork(), modelPath);
    const calibration = await noise(t, 'x', [8, 9, 9]);
    for (const operators of await artifactOperators(t, modelPath, calibration, bits, { shortcuts: 'wide' })) {
      const { Transpose: _, NhwcMaxPool, MaxPool, ...computing } = operators;
      assert.equal((NhwcMaxPool ?? 0) + (MaxPool ?? 0), 1);
      // Of the input and three branches; the branches and both outputs; the branches and what narrow layers alone take in.
      const around = { QuantizeLinear: 4, DequantizeLinear: 5, Clip: 5 };
      assert.deepEqual(computing, { QLinearConv: 7, QLinearAdd: 1, QLinearConcat: 1, ...around });
    }
  });
}

/** Model, shape of its input, operators that are left, and how many values have 4 bits where the recipe asks for them. */
const REAL: readonly [string, readonly number[], Record<string, number>, fourBit: number][] = [
  ['resnet20_cifar10', [3, 32, 32], { QLinearConv: 19, QLinearAdd: 9, QLinearGlobalAveragePool: 1, QGemm: 1 }, 18],
  ['mobilenet_v1_0.75', [3, 224, 224], { QLinearConv: 28, QLinearGlobalAveragePool: 1 }, 13],
  ['squeezenet1.1', [3, 224, 224], { QLinearConv: 26, NhwcMaxPool: 3, Concat: 8 }, 23],
];

for (const [model, sizes, expected, fourBit] of REAL) {
  const file = `models/${model}.onnx`;
  for (const bits of [8, 4] as const) {
    test(`every convolution of ${model} with ${bits}-bit inputs runs as QLinearConv`, {
      skip: skipWithout(file),
    }, async (t) => {
      for (const operators of await artifactOperators(t, sharedData(file), await noise(t, 'input', sizes), bits)) {
        for (const [op, count] of Object.entries(expected)) assert.equal(operators[op], count, op);
        assert.equal(operators.QuantizeLinear, 1);
        assert.equal(operators.Clip ?? 0, bits === 4 ? fourBit : 0);
        assert.deepEqual([operators.Conv, operators.FusedConv], [undefined, undefined]);
        assert.ok((operators.DequantizeLinear ?? 0) <= 1);
      }
    });
  }
}
