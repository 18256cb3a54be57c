import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { loadScratchModel, withOutputs } from '../../calibrate/observed-model.js';
import { elementCount, type Model } from '../../ir/index.js';
import { acceleratedRuntime } from '../../runtime/create-runtime.js';
import { createOnnxRuntime } from '../../runtime/onnx-runtime.js';
import { floats } from '../../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../../testing/random.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { backpropagate, knownShapes } from '../gradients.js';
import { withNativeLayers } from '../native/native-layers.js';
import { ShapedBuilder } from '../shaped-builder.js';
import { constants64, evaluate64 } from './evaluate64.js';
import type { Tensor64 } from './reference.js';

/** Distance of finite differences, times the root mean square of the tensor that is moved. */
const STEP = 1e-6;

export interface CheckedNetwork {
  readonly model: Model;
  readonly input: string;
  readonly shape: readonly number[];
  /** Initializers. */
  readonly wrt: readonly string[];
  /** Whether with our operators, in the runtime that has them. */
  readonly native?: boolean;
}

/** By initializer its gradient of ⟨r, y⟩ with random r and x, as the runtime computes it; and the values it is of. */
export async function networkGradients(
  t: TestContext,
  { model, input, shape, wrt, native = false }: CheckedNetwork,
): Promise<{ gradients: Map<string, Float32Array>; r: Float64Array; values: Map<string, Tensor64> }> {
  const next = gaussian(seededRandom(11));
  const x = floats(
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => next()),
  );
  const symbols = new Map([['N', shape[0]!]]);
  const forward = native ? withNativeLayers(model, symbols) : model;
  const builder = new ShapedBuilder(forward, knownShapes(forward, symbols));
  const output = model.graph.outputs[0]!.name;
  const cotangent = builder.constant('r', randomTensor(builder.shapeOf(output), 21));
  const gradients = await backpropagate(forward, builder, new Map([[output, cotangent]]), wrt);
  const graph = {
    ...forward.graph,
    nodes: [...forward.graph.nodes, ...builder.nodes],
    initializers: new Map(builder.initializers),
  };
  const runtime = native ? acceleratedRuntime()! : createOnnxRuntime();
  const laboratory = { runtime, scratchDir: temporaryFolder(t), options: { threads: 1, optimization: 'all' } as const };
  const wanted = withOutputs({ ...forward, graph }, [...new Set(gradients.values())]);
  const session = await loadScratchModel(wanted, laboratory);
  const results = await session.run(new Map([[input, x]])).finally(() => session.release());
  const constants = await constants64({ ...model, graph });
  return {
    gradients: new Map([...gradients].map(([name, value]) => [name, results.get(value)!.data as Float32Array])),
    r: constants.get(cotangent)!.data,
    values: new Map(constants).set(input, { shape, data: Float64Array.from(x.data as Float32Array) }),
  };
}

/**
 * Compares directional derivatives of ⟨r, y⟩ by each given initializer alone: from the gradients that the runtime computes, and from
 * central differences of the whole network in float64.
 */
export async function checkNetwork(t: TestContext, network: CheckedNetwork) {
  const { model, wrt } = network;
  const output = model.graph.outputs[0]!.name;
  const { gradients, r, values } = await networkGradients(t, network);
  const next = gaussian(seededRandom(12));
  const loss = () =>
    evaluate64(model, values)
      .get(output)!
      .data.reduce((sum, y, i) => sum + y * r[i]!, 0);
  for (const name of wrt) {
    const { data } = values.get(name)!;
    const start = data.slice();
    const size = Math.sqrt(start.reduce((sum, value) => sum + value * value, 0) / start.length);
    const direction = start.map(() => size * next());
    const along = (step: number) => {
      for (const [j, value] of start.entries()) data[j] = value + step * direction[j]!;
      return loss();
    };
    const expected = (along(STEP) - along(-STEP)) / (2 * STEP);
    data.set(start);
    const gradient = gradients.get(name)!;
    const actual = direction.reduce((sum, value, j) => sum + value * gradient[j]!, 0);
    const scale = Math.hypot(...gradient) * Math.hypot(...direction);
    assert.ok(Math.abs(actual - expected) <= 1e-5 * scale, `${name}: ${actual}, not ${expected}, of up to ${scale}`);
  }
}
