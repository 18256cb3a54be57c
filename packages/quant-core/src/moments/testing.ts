import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { elementCount, readFloats } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import type { Layer } from '../layers/layer.js';
import type { SampleValues } from '../prefix/sample-values.js';
import { runWhole } from '../prefix/testing.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Feeds, HostTensor } from '../runtime/runtime.js';
import type { InputMoments } from '../solve/input-moments.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';

import { collectMoments } from './collect-moments.js';

/** One layer and the inputs to run it on. */
export interface Case {
  readonly node: Omit<TinyNode, 'inputs' | 'outputs'>;
  readonly weight: readonly number[];
  /** Shapes of the input, run by run. */
  readonly x: readonly (readonly number[])[];
  readonly bias?: boolean;
  readonly weightLeft?: boolean;
}

/** The layer, what goes in and what onnxruntime makes of it. */
export interface Setup {
  readonly layer: Layer;
  readonly x: HostTensor[];
  readonly y: HostTensor[];
  /** [OC, K], tap-major. */
  readonly weights: Float64Array;
  readonly bias: Float32Array | null;
}

/** Inputs far from zero, so that moments taken without a shift would cancel; outputs from onnxruntime. */
export async function setUp(
  t: TestContext,
  { node, weight, x: shapes, bias = true, weightLeft = false }: Case,
): Promise<Setup> {
  const rank = shapes[0]!.length;
  const channels = node.op === 'Gemm' && !node.attributes?.transB ? weight[1]! : weight[0]!;
  const hasBias = bias && node.op !== 'MatMul';
  const model = tinyModel({
    inputs: [['x', 'float32', Array.from({ length: rank }, () => null)]],
    outputs: [['y', 'float32', null]],
    nodes: [{ ...node, inputs: weightLeft ? ['w', 'x'] : ['x', 'w', ...(hasBias ? ['b'] : [])], outputs: ['y'] }],
    constants: { w: randomTensor(weight, 4), ...(hasBias && { b: randomTensor([channels], 5) }) },
  });
  const next = gaussian(seededRandom(6));
  const x = shapes.map((shape) =>
    floats(
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => 20 + next()),
    ),
  );
  const feeds = x.map((tensor): Feeds => new Map([['x', tensor]]));
  const y = (await runWhole(model, ['y'], feeds, temporaryFolder(t))).map((outputs) => outputs.get('y')!);
  const layer = findLayers(model).layers[0]!;
  return { layer, x, y, weights: await tapMajor(layer), bias: layer.bias && (await readFloats(layer.bias)) };
}

async function tapMajor({ weight, layout, transposed }: Layer): Promise<Float64Array> {
  const { outputChannels, inputChannels, taps } = layout;
  const values = await readFloats(weight);
  const result = new Float64Array(values.length);
  for (let oc = 0; oc < outputChannels; oc++) {
    for (let ic = 0; ic < inputChannels; ic++) {
      for (let tap = 0; tap < taps; tap++) {
        const from = transposed ? ic * outputChannels + oc : (oc * inputChannels + ic) * taps + tap;
        result[(oc * taps + tap) * inputChannels + ic] = values[from]!;
      }
    }
  }
  return result;
}

/** Tensors as the values of runs. */
export function valuesOf(tensors: readonly HostTensor[]): SampleValues {
  return {
    runCount: tensors.length,
    shape: (run) => tensors[run]!.shape,
    read: async (run) => tensors[run]!,
  };
}

/** Two passes in float64 over rows of windows and outputs. */
export function naiveMoments(windows: readonly number[][], outputs: readonly number[][]): InputMoments {
  const rows = windows.length;
  const meanOf = (table: readonly number[][]) =>
    Float64Array.from(table[0]!, (_, c) => table.reduce((sum, row) => sum + row[c]!, 0) / rows);
  const [mean, outputMean] = [meanOf(windows), meanOf(outputs)];
  const covariance = (left: readonly number[][], a: Float64Array, right: readonly number[][], b: Float64Array) =>
    Float64Array.from({ length: a.length * b.length }, (_, at) => {
      const [i, j] = [Math.floor(at / b.length), at % b.length];
      return left.reduce((sum, row, r) => sum + (row[i]! - a[i]!) * (right[r]![j]! - b[j]!), 0) / rows;
    });
  const yy = covariance(outputs, outputMean, outputs, outputMean);
  return {
    columns: mean.length,
    rows,
    mean,
    second: covariance(windows, mean, windows, mean),
    cross: covariance(windows, mean, outputs, outputMean),
    outputMean,
    outputVariance: outputMean.map((_, oc) => yy[oc * outputMean.length + oc]!),
  };
}

/** Fails unless the moments are the same, as far as float32 reaches. */
export function assertClose(actual: InputMoments, expected: InputMoments): void {
  assert.equal(actual.columns, expected.columns);
  assert.equal(actual.rows, expected.rows);
  for (const field of ['mean', 'second', 'cross', 'outputMean', 'outputVariance'] as const) {
    assert.equal(actual[field].length, expected[field].length, field);
    const magnitude = expected[field].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // float32 has 24 bits; y itself was rounded by onnxruntime at the magnitude of its mean.
    const tolerance = magnitude * 1e-4;
    expected[field].forEach((value, i) => {
      assert.ok(
        Math.abs(actual[field][i]! - value) <= tolerance,
        `${field}[${i}] is ${actual[field][i]}, not ${value}`,
      );
    });
  }
}

/** What holds for any layer that is linear in its windows, however those are laid out: y = Wx + b. */
export function assertLinear(moments: InputMoments, weights: Float64Array, bias: Float32Array | null): void {
  const { columns, second, cross, mean, outputMean } = moments;
  const outputs = outputMean.length;
  const magnitude = Math.max(...cross.map(Math.abs), ...outputMean.map(Math.abs));
  const dot = (a: Float64Array, oc: number) => a.reduce((sum, value, k) => sum + value * weights[oc * columns + k]!, 0);
  for (let oc = 0; oc < outputs; oc++) {
    const expected = dot(mean, oc) + (bias?.[oc] ?? 0);
    assert.ok(Math.abs(outputMean[oc]! - expected) <= 1e-4 * magnitude, `mean of output ${oc}`);
    for (let k = 0; k < columns; k++) {
      const row = second.subarray(k * columns, (k + 1) * columns);
      assert.ok(Math.abs(cross[k * outputs + oc]! - dot(row, oc)) <= 1e-4 * magnitude, `cross ${k}, ${oc}`);
    }
  }
}

/** More columns than a block and more rows than a chunk, on inputs that nearly repeat. */
export const WIDE: Case = { node: { op: 'Gemm' }, weight: [520, 40], x: Array.from({ length: 3 }, () => [900, 520]) };

export const ALL = { maxRows: 1e9, seed: 0 };

export function collect(t: TestContext, { layer, x, y }: Setup, options: { maxRows: number; seed: number }) {
  const shared = { runtime: createOnnxRuntime(), scratchDir: temporaryFolder(t) };
  return collectMoments(layer, valuesOf(x), valuesOf(y), { ...shared, ...options });
}
