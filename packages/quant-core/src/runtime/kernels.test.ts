/**
 * Artifacts in stock onnxruntime against the same packed codes in the kernels: two implementations that share nothing but
 * the file. Activations are uint8, so that both compute in integers.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { GroupSize } from '@tritforge/contracts';
import { writeNpz } from '../data/index.js';
import { pack2, unpack2 } from '../fgq/index.js';
import { elementCount, GraphIndex, intsValue, intValue, type Model } from '../ir/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { quantize } from '../quantize.js';
import { type Affine, type ArtifactLayer, affineOf, artifactLayers } from '../testing/artifact-layers.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { kernelInfo, ternaryLinear } from './kernels.js';
import { createOnnxRuntime } from './onnx-runtime.js';

const runtime = createOnnxRuntime();
const SAMPLES = 6;
/** Two float32 roundings: of the product of scales, and of its product with the sum. */
const MAX_RELATIVE_ERROR = 2 * 2 ** -24;

/** What an artifact computed from noise, and what it holds. */
interface Run {
  readonly layer: ArtifactLayer;
  /** Codes of the input, as QuantizeLinear has them. */
  readonly codes: Uint8Array;
  readonly outputs: Float32Array;
  /** Quantization of the output; null where it stays in floats. */
  readonly outputAffine: Affine | null;
}

/** Quantizes a model with one layer, x to y, to ternary weights and 8-bit activations, and runs the artifact as users do. */
async function runArtifact(t: TestContext, model: Model, groupSize: GroupSize): Promise<Run> {
  const folder = temporaryFolder(t);
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  for (const path of [outputDir, scratchDir]) mkdirSync(path);
  const [modelPath, dataPath] = [join(folder, 'model.onnx'), join(folder, 'data.npz')];
  await writeModel(model, modelPath);
  const shape = [SAMPLES, ...(model.graph.inputs[0]!.shape!.slice(1) as number[])];
  const normal = gaussian(seededRandom(5));
  // Off centre, so that the zero point is neither 0 nor 128.
  const data = Float32Array.from({ length: elementCount(shape) }, () => 0.4 + normal());
  const x = { dtype: 'float32', shape, data } as const;
  await writeNpz(dataPath, new Map([['x', x]]));
  const report = await quantize(
    {
      modelPath,
      recipe: { weights: { groupSize }, firstLast: { bits: 2 } },
      outputDir,
      scratchDir,
      fileStem: 'layer',
      calibration: { path: dataPath },
    },
    { runtime },
  );
  assert.equal(report.provenance.kernels, kernelInfo().implementation);
  const artifactPath = join(outputDir, report.artifacts[0]!.fileName);
  const { graph } = await readModel(artifactPath);
  const [layer] = (await artifactLayers(await readModel(artifactPath))).values();
  const session = await runtime.load(artifactPath, { threads: 1, optimization: 'all' });
  const outputs = (await session.run(new Map([['x', x]]))).get('y')!.data as Float32Array;
  await session.release();
  const index = new GraphIndex(graph);
  const outputAffine = await affineOf(index.producerOf('y'), index);
  return { layer: layer!, codes: quantizeAll(data, layer!.input!), outputs, outputAffine };
}

/** QuantizeLinear: division in float32, halves to even. */
function quantizeAll(values: Float32Array, { scale, zeroPoint }: Affine): Uint8Array {
  return Uint8Array.from(values, (value) => saturate(roundHalfToEven(Math.fround(value / scale)) + zeroPoint));
}

function saturate(code: number): number {
  return Math.min(Math.max(code, 0), 255);
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

function ternaryOf({ weight }: ArtifactLayer) {
  if (weight.kind !== 'ternary') throw new TypeError(`the weight is ${weight.kind}`);
  return weight;
}

/** Asserts that outputs are the sums, biases included, in units of input scale × channel scale. */
function assertSums(outputs: Float32Array, sums: Int32Array, { layer }: Run): void {
  const { channelScales } = ternaryOf(layer);
  assert.equal(outputs.length, sums.length);
  sums.forEach((sum, i) => {
    const unit = layer.input!.scale * channelScales[i % channelScales.length]!;
    const error = Math.abs(outputs[i]! - sum * unit);
    assert.ok(error <= MAX_RELATIVE_ERROR * Math.abs(sum * unit), `output ${i} is ${outputs[i]}, not ${sum} · ${unit}`);
    // Were the integer another one, no rounding could hide it.
    assert.equal(Math.round(outputs[i]! / unit), sum);
  });
  assert.ok(sums.some((sum) => sum !== 0));
}

interface LinearCase {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly model: Model;
}

function gemm(inputs: number, outputs: number, transB: 0 | 1): LinearCase {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', inputs]]],
    outputs: [['y', 'float32', ['N', outputs]]],
    nodes: [{ op: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: { transB: intValue(transB) } }],
    constants: {
      w: randomTensor(transB === 1 ? [outputs, inputs] : [inputs, outputs], inputs),
      b: randomTensor([outputs], outputs),
    },
  });
  return { name: `Gemm with transB ${transB}, ${inputs} → ${outputs}`, inputs, outputs, model };
}

function matMul(inputs: number, outputs: number): LinearCase {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 3, inputs]]],
    outputs: [['y', 'float32', ['N', 3, outputs]]],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    constants: { w: randomTensor([inputs, outputs], inputs) },
  });
  return { name: `MatMul, ${inputs} → ${outputs}`, inputs, outputs, model };
}

/** Rows of whole and of short last groups, rows that begin inside a byte, and fewer inputs than a group. */
const LINEAR: readonly LinearCase[] = [
  gemm(64, 8, 1),
  gemm(17, 5, 0),
  gemm(130, 33, 1),
  gemm(3, 2, 0),
  matMul(128, 16),
  matMul(65, 7),
  matMul(6, 3),
];

for (const groupSize of [4, 64] as const) {
  for (const { name, inputs, outputs, model } of LINEAR) {
    test(`${name}, N = ${groupSize}: onnxruntime and the kernels compute the same integers`, async (t) => {
      const run = await runArtifact(t, model, groupSize);
      const { packedCodes, groupCodes } = ternaryOf(run.layer);
      const rows = run.codes.length / inputs;
      const products = await ternaryLinear(
        { rows, codes: run.codes, zeroPoint: run.layer.input!.zeroPoint },
        { layout: { outputChannels: outputs, inputChannels: inputs, taps: 1 }, groupSize, packedCodes, groupCodes },
      );
      const { bias } = run.layer;
      const sums = products.map((product, i) => product + (bias === null ? 0 : bias[i % outputs]!));
      assert.equal(run.outputAffine, null);
      assertSums(run.outputs, sums, run);
    });
  }
}

const KERNEL = 3;
const TAPS = KERNEL * KERNEL;
const STRIDE = 2;
const PAD = 1;
const SIDE = 5;
const OUTPUT_SIDE = 3;

/**
 * The rows of im2col for one tap, [samples × output pixels, channels]. Outside of the image is the number 0, whose code is
 * the zero point.
 */
function rowsOfTap(codes: Uint8Array, channels: number, zeroPoint: number, tap: number): Uint8Array {
  const rows: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    for (let pixel = 0; pixel < OUTPUT_SIDE ** 2; pixel++) {
      const y = Math.floor(pixel / OUTPUT_SIDE) * STRIDE - PAD + Math.floor(tap / KERNEL);
      const x = (pixel % OUTPUT_SIDE) * STRIDE - PAD + (tap % KERNEL);
      const inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
      for (let channel = 0; channel < channels; channel++) {
        rows.push(inside ? codes[((sample * channels + channel) * SIDE + y) * SIDE + x]! : zeroPoint);
      }
    }
  }
  return Uint8Array.from(rows);
}

/** Every ninth element: those of one tap, where taps are the last axis. */
function ofTap<T extends Int8Array | Uint8Array>(values: T, tap: number): T {
  return values.filter((_, i) => i % TAPS === tap) as T;
}

/** The convolution as one matrix product per tap, [samples × output pixels, OC], biases included. */
async function convolve(
  { layer, codes }: Run,
  channels: number,
  outputs: number,
  groupSize: number,
): Promise<Int32Array> {
  const { packedCodes, groupCodes } = ternaryOf(layer);
  const ternary = unpack2(packedCodes, outputs * channels * TAPS);
  const { zeroPoint } = layer.input!;
  const rows = SAMPLES * OUTPUT_SIDE ** 2;
  let sums = Int32Array.from({ length: rows * outputs }, (_, i) => layer.bias![i % outputs]!);
  for (let tap = 0; tap < TAPS; tap++) {
    const products = await ternaryLinear(
      { rows, codes: rowsOfTap(codes, channels, zeroPoint, tap), zeroPoint },
      {
        layout: { outputChannels: outputs, inputChannels: channels, taps: 1 },
        groupSize,
        packedCodes: pack2(ofTap(ternary, tap)),
        groupCodes: ofTap(groupCodes, tap),
      },
    );
    sums = sums.map((sum, i) => sum + products[i]!);
  }
  return sums;
}

for (const [channels, outputs, groupSize] of [
  [8, 4, 4],
  [6, 3, 4],
  [64, 4, 64],
  [70, 5, 64],
] as const) {
  test(`Conv 3×3, ${channels} → ${outputs}, N = ${groupSize}: every output code is that of the kernels' sum`, async (t) => {
    const model = tinyModel({
      inputs: [['x', 'float32', ['N', channels, SIDE, SIDE]]],
      outputs: [['y', 'float32', ['N', outputs, OUTPUT_SIDE, OUTPUT_SIDE]]],
      nodes: [
        {
          op: 'Conv',
          inputs: ['x', 'w', 'b'],
          outputs: ['y'],
          attributes: { pads: intsValue([PAD, PAD, PAD, PAD]), strides: intsValue([STRIDE, STRIDE]) },
        },
      ],
      constants: { w: randomTensor([outputs, channels, KERNEL, KERNEL], 1), b: randomTensor([outputs], 2) },
    });
    const run = await runArtifact(t, model, groupSize);
    const { layer, outputAffine } = run;
    const { channelScales } = ternaryOf(layer);
    const sums = await convolve(run, channels, outputs, groupSize);
    const pixels = OUTPUT_SIDE ** 2;
    const expected = run.outputs.map((_, i) => {
      const [sample, channel, pixel] = [Math.floor(i / pixels / outputs), Math.floor(i / pixels) % outputs, i % pixels];
      const sum = sums[(sample * pixels + pixel) * outputs + channel]!;
      // As QLinearConv does it: one float32 factor, halves to even.
      const unit = Math.fround(layer.input!.scale * channelScales[channel]!);
      const real = Math.fround(sum * Math.fround(unit / outputAffine!.scale));
      return (
        (saturate(roundHalfToEven(real) + outputAffine!.zeroPoint) - outputAffine!.zeroPoint) * outputAffine!.scale
      );
    });
    assert.deepEqual(run.outputs, expected);
    assert.ok(new Set(expected).size > 20, 'the outputs hardly differ');
  });
}
