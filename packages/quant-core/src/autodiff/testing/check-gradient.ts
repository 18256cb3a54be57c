import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { elementCount, type Model, type Tensor, tensorFromFloats } from '../../ir/index.js';
import { writeModel } from '../../onnx/index.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import { seededRandom } from '../../testing/random.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { backpropagate, knownShapes } from '../gradients.js';
import { ShapedBuilder } from '../shaped-builder.js';
import { toTensor64 } from './evaluate64.js';
import { REFERENCE, type Tensor64 } from './reference.js';

export interface GradientCase {
  readonly node: Omit<TinyNode, 'inputs' | 'outputs'>;
  /** Inputs to differentiate by: their shapes, uniform in `range`. Named a, b, c … */
  readonly inputs: readonly (readonly number[])[];
  /** Where inputs lie; keep away from kinks by more than a finite difference. Default [-1, 1]. */
  readonly range?: readonly [number, number];
  /** Inputs in front of the others that nothing is differentiated by, such as a condition. */
  readonly leading?: readonly Tensor[];
  /** Further inputs, behind the others, that nothing is differentiated by; null for one that is left out. */
  readonly constants?: readonly (Tensor | null)[];
  /** Outputs of the node, default 1; the loss does not depend on those that its definition leaves out. */
  readonly outputs?: number;
  readonly opset?: number;
  /** Largest error over the largest gradient. Default 1e-5. */
  readonly tolerance?: number;
}

/** Distance of finite differences in float64: their error is its square times the third derivative. */
const STEP = 1e-5;
const FORWARD_TOLERANCE = 1e-5;

/**
 * Compares the gradients of Σᵢ ⟨rᵢ, yᵢ⟩, with random rᵢ, as the backward graph computes them in onnxruntime, with central
 * differences of the operator's definition in float64, and its outputs with the definition itself.
 */
export async function checkGradient(t: TestContext, given: GradientCase): Promise<void> {
  const { inputs, range = [-1, 1], leading = [], constants = [], tolerance = 1e-5 } = given;
  const next = seededRandom(7);
  const random = (shape: readonly number[], [low, high]: readonly [number, number]): Tensor64 => ({
    shape,
    data: Float64Array.from({ length: elementCount(shape) }, () => Math.fround(low + (high - low) * next())),
  });
  const values = inputs.map((shape) => random(shape, range));
  const first = await Promise.all(leading.map(toTensor64));
  const fixed = await Promise.all(constants.map(async (tensor) => (tensor === null ? undefined : toTensor64(tensor))));
  const names = values.map((_, i) => String.fromCharCode(97 + i));
  const node = nodeOf(given, names);
  const reference = REFERENCE[node.opType];
  assert.ok(reference !== undefined, `there is no definition of ${node.opType}`);
  const evaluate = () => reference([...first, ...values, ...fixed], node);
  const outputs = evaluate();
  const weights = outputs.map(({ shape }) => random(shape, [-1, 1]));
  const { gradients, forward } = await runBackward(t, given, { names, values, weights });
  // A definition that is wrong would have wrong derivatives.
  for (const [i, { data }] of outputs.entries())
    assertNear(forward[i]!, data, FORWARD_TOLERANCE, `${node.opType}, output ${i}`);
  const loss = () =>
    evaluate().reduce((sum, y, i) => sum + y.data.reduce((dot, value, j) => dot + value * weights[i]!.data[j]!, 0), 0);
  for (const [i, { data }] of values.entries()) {
    const expected = data.map((value, j) => {
      data[j] = value + STEP;
      const above = loss();
      data[j] = value - STEP;
      const below = loss();
      data[j] = value;
      return (above - below) / (2 * STEP);
    });
    assertNear(gradients[i]!, expected, tolerance, `${node.opType}, input ${names[i]}`);
  }
}

export function assertNear(actual: Float32Array, expected: Float64Array, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0);
  assert.ok(worst <= tolerance * largest, `${what}: off by ${worst} where gradients are up to ${largest}`);
}

function inputNames({ leading = [], constants = [] }: GradientCase, names: readonly string[]): string[] {
  const behind = constants.map((tensor, i) => (tensor === null ? '' : `k${i}`));
  return [...leading.map((_, i) => `l${i}`), ...names, ...behind];
}

function nodeOf(given: GradientCase, names: readonly string[]) {
  const { node, outputs = 1 } = given;
  const tiny = {
    ...node,
    inputs: inputNames(given, names),
    outputs: Array.from({ length: outputs }, (_, i) => `y${i}`),
  };
  return tinyModel({ inputs: [], outputs: [], nodes: [tiny] }).graph.nodes[0]!;
}

async function runBackward(
  t: TestContext,
  given: GradientCase,
  { names, values, weights }: { names: string[]; values: Tensor64[]; weights: Tensor64[] },
): Promise<{ gradients: Float32Array[]; forward: Float32Array[] }> {
  const model = forwardModel(given, { names, values, weights });
  const builder = new ShapedBuilder(model, knownShapes(model));
  const cotangents = new Map(weights.map((_, i) => [`y${i}`, `r${i}`]));
  const gradients = await backpropagate(model, builder, cotangents, names);
  const wanted = names.map((name) => gradients.get(name)!);
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...builder.nodes],
    initializers: new Map(builder.initializers),
    outputs: [...new Set([...wanted, ...cotangents.keys()])].map((name) => ({
      name,
      dtype: 'float32' as const,
      shape: null,
    })),
  };
  const path = join(temporaryFolder(t), 'backward.onnx');
  await writeModel({ ...model, graph }, path);
  const session = await createOnnxRuntime().load(path, { threads: 1, optimization: 'all' });
  try {
    const feeds = values.map(({ shape, data }, i) => {
      return [names[i]!, { dtype: 'float32' as const, shape, data: Float32Array.from(data) }] as const;
    });
    const results = await session.run(new Map(feeds));
    const take = (name: string, expected: readonly number[]) => {
      const { shape, data } = results.get(name)!;
      assert.deepEqual([...shape], [...expected], `shape of ${name}`);
      return data as Float32Array;
    };
    return {
      gradients: wanted.map((name, i) => take(name, values[i]!.shape)),
      forward: weights.map(({ shape }, i) => take(`y${i}`, shape)),
    };
  } finally {
    await session.release();
  }
}

/** The node alone, and the random weights as constants. */
function forwardModel(
  given: GradientCase,
  { names, values, weights }: { names: string[]; values: Tensor64[]; weights: Tensor64[] },
): Model {
  const { node, leading = [], constants = [], outputs = 1, opset } = given;
  const first = leading.map((tensor, i) => [`l${i}`, tensor] as const);
  const fixed = constants.flatMap((tensor, i) => (tensor === null ? [] : [[`k${i}`, tensor] as const]));
  const random = weights.map(
    ({ shape, data }, i) => [`r${i}`, tensorFromFloats(shape, Float32Array.from(data))] as const,
  );
  return tinyModel({
    inputs: values.map(({ shape }, i) => [names[i]!, 'float32', shape] as const),
    outputs: [],
    nodes: [
      {
        ...node,
        inputs: inputNames(given, names),
        outputs: Array.from({ length: Math.max(outputs, weights.length) }, (_, i) => `y${i}`),
      },
    ],
    constants: Object.fromEntries([...first, ...fixed, ...random]),
    ...(opset !== undefined && { opset }),
  });
}
