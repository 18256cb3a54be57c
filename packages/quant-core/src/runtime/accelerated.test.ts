/** Accelerated artifacts under our operators, against the same files in stock onnxruntime. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe, Shortcuts } from '@tritforge/contracts';
import { kernelInfo, openOrtLibrary } from '@tritforge/kernels';
import { TRITFORGE_DOMAIN } from '../artifact/accelerated/functions.js';
import { writeNpz } from '../data/index.js';
import { syntheticFeeds } from '../evaluate/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { quantize } from '../quantize.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { shortcutNetwork } from '../testing/shortcut-network.js';
import { writeSmallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { createOnnxRuntime } from './onnx-runtime.js';
import { onnxruntimeLibrary } from './onnxruntime-library.js';
import type { HostTensor } from './runtime.js';

process.env.ORT_DISABLE_TELEMETRY = '1';
const { reason } = kernelInfo();
const libraryPath = reason === null ? onnxruntimeLibrary() : null;
const skip = reason ?? (libraryPath === null ? 'onnxruntime-node ships no library for this system' : false);

/** A calibration file of a few random samples; tokens where the model takes those. */
async function noise(path: string, name: string, sizes: readonly number[]): Promise<void> {
  const dtype = name === 'tokens' ? 'int64' : 'float32';
  await writeNpz(path, syntheticFeeds([{ name, dtype, shape: [4, ...sizes] }], 1));
}

type Precision = { bits: 8 | 4 | 3 | 2; shortcuts?: Shortcuts } & Pick<Recipe, 'method' | 'weights'>;

async function accelerated(
  t: TestContext,
  modelPath: string,
  input: string,
  sizes: readonly number[],
  { bits, shortcuts, ...precision }: Precision,
): Promise<string> {
  const folder = temporaryFolder(t);
  const [scratchDir, calibration] = [join(folder, 'scratch'), join(folder, 'noise.npz')];
  mkdirSync(scratchDir);
  await noise(calibration, input, sizes);
  const recipe: Recipe = {
    ...precision,
    weights: { solver: 'exact', ...precision.weights },
    artifacts: ['accelerated'],
    activations: { bits, range: 'minmax', minimumSqnrDb: null, ...(shortcuts && { shortcuts }) },
  };
  const request = {
    modelPath,
    recipe,
    outputDir: folder,
    scratchDir,
    fileStem: 'model',
    calibration: { path: calibration },
  };
  const report = await quantize(request, { runtime: createOnnxRuntime() });
  return join(folder, report.artifacts[0]!.fileName);
}

/** Outputs, and the `tritforge` operators that are left when the file is loaded, with their number. */
async function runWith(t: TestContext, path: string, customOperators: boolean) {
  const optimizedModelPath = join(temporaryFolder(t), 'optimized.onnx');
  const session = await openOrtLibrary(libraryPath!).load(path, { customOperators, optimizedModelPath });
  const feeds = syntheticFeeds(session.inputs, 11) as ReadonlyMap<string, HostTensor & { readonly dtype: 'float32' }>;
  const outputs = await session.run(feeds as Parameters<typeof session.run>[0]);
  await session.release();
  const calls: Record<string, number> = {};
  for (const { domain, opType } of (await readModel(optimizedModelPath)).graph.nodes) {
    if (domain === TRITFORGE_DOMAIN) calls[opType] = (calls[opType] ?? 0) + 1;
  }
  return { outputs, calls };
}

async function checkSameOutputs(t: TestContext, path: string, expected: Record<string, number>): Promise<void> {
  const stock = await runWith(t, path, false);
  assert.deepEqual(stock.calls, {}, 'functions that stock onnxruntime did not inline');
  const own = await runWith(t, path, true);
  assert.deepEqual(own.calls, expected);
  assert.deepEqual(own.outputs, stock.outputs);
}

for (const [bits, expected] of [
  [8, { Int8Conv: 2, TernaryConv: 2, TernaryConvAdd: 1, MaxPool: 1, Int8MatMul: 1 }],
  [4, { Int8Conv: 1, Int8ConvClip: 1, TernaryConv: 2, TernaryConvAddClip: 1, MaxPool: 1, Int8MatMul: 1 }],
] as const) {
  test(`the small network with ${bits}-bit inputs computes the same bytes with our operators as without`, {
    skip,
  }, async (t) => {
    const { modelPath } = await writeSmallNetwork(temporaryFolder(t));
    await checkSameOutputs(t, await accelerated(t, modelPath, 'image', [3, 12, 12], { bits }), expected);
  });
}

test('uniform layers compute the same bytes with our operators as without, whatever the bits of inputs', {
  skip,
}, async (t) => {
  const { modelPath } = await writeSmallNetwork(temporaryFolder(t));
  for (const [bits, expected] of [
    [8, { Int8Conv: 4, Int8ConvAdd: 1, MaxPool: 1, Int8MatMul: 1 }],
    [4, { Int8Conv: 3, Int8ConvClip: 1, Int8ConvAddClip: 1, MaxPool: 1, Int8MatMul: 1 }],
    [2, { Int8Conv: 3, Int8ConvClip: 1, Int8ConvAddClip: 1, MaxPool: 1, Int8MatMul: 1 }],
  ] as const) {
    const path = await accelerated(t, modelPath, 'image', [3, 12, 12], { bits, method: 'uniform' });
    await checkSameOutputs(t, path, expected);
  }
});

test('ternary layers with 2-bit inputs compute the same bytes with our operators as without', { skip }, async (t) => {
  const { modelPath } = await writeSmallNetwork(temporaryFolder(t));
  const path = await accelerated(t, modelPath, 'image', [3, 12, 12], { bits: 2 });
  const expected = { Int8Conv: 1, Int8ConvClip: 1, TernaryConv: 2, TernaryConvAddClip: 1, MaxPool: 1, Int8MatMul: 1 };
  await checkSameOutputs(t, path, expected);
});

test('wide shortcuts compute the same bytes with our operators as without', { skip }, async (t) => {
  const modelPath = join(temporaryFolder(t), 'shortcuts.onnx');
  await writeModel(shortcutNetwork(), modelPath);
  const expected = { Int8Conv: 2, TernaryConv: 3, TernaryConvClip: 1, TernaryConvAdd: 1, MaxPool: 1 };
  for (const bits of [4, 3, 2] as const) {
    const path = await accelerated(t, modelPath, 'x', [8, 9, 9], { bits, shortcuts: 'wide' });
    await checkSameOutputs(t, path, expected);
  }
});

test('layers of 4 bits compute the same bytes with our operators as without', { skip }, async (t) => {
  const { modelPath } = await writeSmallNetwork(temporaryFolder(t));
  const path = await accelerated(t, modelPath, 'image', [3, 12, 12], { bits: 8, method: 'int4' });
  await checkSameOutputs(t, path, { Int8Conv: 4, Int8ConvAdd: 1, MaxPool: 1, Int8MatMul: 1 });
});

test('layers with two ternary planes compute the same bytes with our operators as without', { skip }, async (t) => {
  const { modelPath } = await writeSmallNetwork(temporaryFolder(t));
  for (const [bits, expected] of [
    [8, { Int8Conv: 4, Int8ConvAdd: 1, MaxPool: 1, Int8MatMul: 1 }],
    [4, { Int8Conv: 3, Int8ConvClip: 1, Int8ConvAddClip: 1, MaxPool: 1, Int8MatMul: 1 }],
  ] as const) {
    const weights: Recipe['weights'] = { groupSize: 4, residualPlanes: [{ op: 'Conv' }] };
    await checkSameOutputs(t, await accelerated(t, modelPath, 'image', [3, 12, 12], { bits, weights }), expected);
  }
});

const REAL = [
  ['resnet20_cifar10', 'input', [3, 32, 32], 8, { Int8Conv: 1, TernaryConv: 9, TernaryConvAdd: 9, Int8MatMul: 1 }],
  [
    'resnet20_cifar10',
    'input',
    [3, 32, 32],
    4,
    { Int8ConvClip: 1, TernaryConvClip: 9, TernaryConvAddClip: 8, TernaryConvAdd: 1, Int8MatMul: 1 },
  ],
  ['squeezenet1.1', 'input', [3, 224, 224], 8, { Int8Conv: 2, TernaryConv: 24, MaxPool: 3 }],
  ['ad01_autoencoder_mlperftiny', 'input', [640], 8, { Int8Gemm: 1, TernaryGemm: 8, Int8MatMul: 1 }],
  ['stories260K', 'tokens', [16], 8, { Int8MatMulNoBias: 2, TernaryMatMulNoBias: 34 }],
] as const;

for (const [model, input, sizes, bits, expected] of REAL) {
  const file = `models/${model}.onnx`;
  test(`${model} with ${bits}-bit inputs computes the same bytes with our operators as without`, {
    skip: skip || skipWithout(file),
  }, async (t) => {
    await checkSameOutputs(t, await accelerated(t, sharedData(file), input, sizes, { bits }), expected);
  });
}
