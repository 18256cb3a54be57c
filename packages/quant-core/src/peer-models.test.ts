import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Report } from '@tritforge/contracts';
import { inspectModel } from './inspect.js';
import { readModel } from './onnx/index.js';
import { outcomeOf } from './onnx/testing.js';
import { quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { checkReport } from './testing/check-report.js';
import { LIGHT_MODELS, materialize, writeNoise } from './testing/light-models.js';
import { sharedData, skipWithout } from './testing/shared-data.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { unpackModels } from './testing/unpack-models.js';

const NODE_TESTS = 'peers/onnx_node_quant_rel-1.22.0.tar.gz';
const SEED = 20170511;

interface Quantized {
  readonly report: Report;
  readonly artifactPath: string;
}

async function quantizeIn(
  folder: string,
  modelPath: string,
  activationBits: 8 | 4 | null,
  calibrationPath?: string,
): Promise<Quantized> {
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  for (const path of [outputDir, scratchDir]) mkdirSync(path, { recursive: true });
  const report = await quantize(
    {
      modelPath,
      recipe: {
        weights: { groupSize: 64, solver: 'exact' },
        activations: { bits: activationBits, minimumSqnrDb: null },
      },
      outputDir,
      scratchDir,
      fileStem: 'model',
      calibration: calibrationPath === undefined ? undefined : { path: calibrationPath },
    },
    { runtime: createOnnxRuntime() },
  );
  return { report, artifactPath: join(outputDir, report.artifacts[0]!.fileName) };
}

/** Number of layers with weights, and a precision. bench/light-models.ts runs all of them, weights only and at 8. */
const TOPOLOGIES: readonly (readonly [name: string, layers: number, activationBits: 8 | 4 | null])[] = [
  ['squeezenet', 26, null],
  ['squeezenet', 26, 8],
  ['shufflenet', 50, 4],
  ['densenet121', 121, null],
  ['inception_v1', 58, 8],
];

async function checkTopology(
  t: TestContext,
  name: string,
  layers: number,
  activationBits: 8 | 4 | null,
): Promise<void> {
  const folder = temporaryFolder(t);
  const light = await unpackModels(sharedData(LIGHT_MODELS), folder);
  const modelPath = await materialize(light.find((path) => basename(path) === `light_${name}.onnx`)!, folder, SEED);
  assert.equal((await inspectModel(modelPath)).quantizableLayers, layers);
  const calibration = activationBits === null ? undefined : join(folder, 'noise.npz');
  if (calibration !== undefined) await writeNoise(modelPath, calibration, 2);
  const { report, artifactPath } = await quantizeIn(folder, modelPath, activationBits, calibration);
  await checkReport(report, await readModel(modelPath), await readModel(artifactPath));
  assert.equal(report.layers.length, layers);
  // The first, the last and depthwise layers keep 8-bit inputs.
  const expected = (bits: number | null) => (activationBits === 4 && bits === 8 ? 8 : activationBits);
  assert.ok(report.layers.every(({ applied }) => applied.activationBits === expected(applied.bits)));
  assert.deepEqual(report.kept, [], 'these topologies have no other weights');
}

for (const [name, layers, activationBits] of TOPOLOGIES) {
  const inputs = activationBits === null ? 'floating-point' : `${activationBits}-bit`;
  test(
    `${name} with random weights and ${inputs} activations becomes what its report says`,
    {
      skip: skipWithout(LIGHT_MODELS),
    },
    (t) => checkTopology(t, name, layers, activationBits),
  );
}

/** Codes with which inspection and quantization end. */
type Outcome = readonly [inspected: string, quantized: string];
/** Operators without a constant weight: there is nothing wrong with the model, and nothing to quantize. */
const WEIGHTLESS: Outcome = ['ok', 'MODEL_NOTHING_TO_QUANTIZE'];
/** Computed values below a byte, with which onnxruntime corrupts memory. */
const REFUSED: Outcome = ['MODEL_UNSUPPORTED_DTYPE', 'MODEL_UNSUPPORTED_DTYPE'];

const NODE_OUTCOMES: Readonly<Record<string, Outcome>> = {
  convinteger_with_padding: WEIGHTLESS,
  convinteger_without_padding: WEIGHTLESS,
  dequantizelinear: WEIGHTLESS,
  dequantizelinear_axis: WEIGHTLESS,
  dequantizelinear_blocked: WEIGHTLESS,
  dequantizelinear_e4m3fn: WEIGHTLESS,
  dequantizelinear_e4m3fn_float16: WEIGHTLESS,
  dequantizelinear_e4m3fn_zero_point: WEIGHTLESS,
  dequantizelinear_e5m2: WEIGHTLESS,
  dequantizelinear_float4e2m1: REFUSED,
  dequantizelinear_int16: WEIGHTLESS,
  dequantizelinear_int2: REFUSED,
  dequantizelinear_int4: REFUSED,
  dequantizelinear_uint16: WEIGHTLESS,
  dequantizelinear_uint2: REFUSED,
  dequantizelinear_uint4: REFUSED,
  dynamicquantizelinear: WEIGHTLESS,
  dynamicquantizelinear_expanded: WEIGHTLESS,
  dynamicquantizelinear_max_adjusted: WEIGHTLESS,
  dynamicquantizelinear_max_adjusted_expanded: WEIGHTLESS,
  dynamicquantizelinear_min_adjusted: WEIGHTLESS,
  dynamicquantizelinear_min_adjusted_expanded: WEIGHTLESS,
  matmulinteger: WEIGHTLESS,
  qlinearconv: WEIGHTLESS,
  qlinearmatmul_2D_int8_float16: WEIGHTLESS,
  qlinearmatmul_2D_int8_float32: WEIGHTLESS,
  qlinearmatmul_2D_uint8_float16: WEIGHTLESS,
  qlinearmatmul_2D_uint8_float32: WEIGHTLESS,
  qlinearmatmul_3D_int8_float16: WEIGHTLESS,
  qlinearmatmul_3D_int8_float32: WEIGHTLESS,
  qlinearmatmul_3D_uint8_float16: WEIGHTLESS,
  qlinearmatmul_3D_uint8_float32: WEIGHTLESS,
  quantizelinear: WEIGHTLESS,
  quantizelinear_axis: WEIGHTLESS,
  quantizelinear_blocked_asymmetric: WEIGHTLESS,
  quantizelinear_blocked_symmetric: WEIGHTLESS,
  quantizelinear_e4m3fn: WEIGHTLESS,
  quantizelinear_e5m2: WEIGHTLESS,
  quantizelinear_float4e2m1: REFUSED,
  quantizelinear_int16: WEIGHTLESS,
  quantizelinear_int2: REFUSED,
  quantizelinear_int4: REFUSED,
  quantizelinear_uint16: WEIGHTLESS,
  quantizelinear_uint2: REFUSED,
  quantizelinear_uint4: REFUSED,
};

test('each of 45 tests of quantization operators ends with its own error code', {
  skip: skipWithout(NODE_TESTS),
}, async (t) => {
  const folder = temporaryFolder(t);
  const outcomes: Record<string, Outcome> = {};
  for (const path of await unpackModels(sharedData(NODE_TESTS), folder)) {
    const name = basename(dirname(path)).replace(/^test_/, '');
    outcomes[name] = [await outcomeOf(inspectModel(path)), await outcomeOf(quantizeIn(folder, path, null))];
  }
  assert.deepEqual(outcomes, NODE_OUTCOMES);
});
