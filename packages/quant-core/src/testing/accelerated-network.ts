import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { TRITFORGE_DOMAIN } from '../artifact/accelerated/functions.js';
import { buildGraph, type QuantizedModel } from '../artifact/build-graph.js';
import type { WeightEncoding } from '../artifact/weight-encoders.js';
import { syntheticFeeds } from '../evaluate/index.js';
import { type Attribute, intsValue, type Model, type Node, type Tensor, tensorFromInt64 } from '../ir/index.js';
import { readModel, validateModel, writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { HostTensor } from '../runtime/runtime.js';
import { quantizedNetwork } from './quantized-network.js';
import { randomTensor } from './random-tensor.js';
import { temporaryFolder } from './temporary-folder.js';
import { type TinyNode, tinyModel } from './tiny-model.js';

const runtime = createOnnxRuntime();
type Outputs = ReadonlyMap<string, HostTensor>;

/** Writes the network and returns the path. */
export async function writeEncoded(t: TestContext, source: QuantizedModel, encoding: WeightEncoding): Promise<string> {
  const path = join(temporaryFolder(t), `${encoding}.onnx`);
  await writeModel(await buildGraph(source, { encoding, minimumOpset: 14 }), path);
  return path;
}

/** Runs a model on made-up inputs; batches are 2, other open sizes 10. */
export async function runEncoded(path: string, optimization: 'all' | 'none'): Promise<Outputs> {
  const session = await runtime.load(path, { threads: 1, optimization });
  const inputs = session.inputs.map((input) => ({
    ...input,
    shape: input.shape.map((size) => (typeof size === 'number' ? size : size === 'N' ? 2 : 10)),
  }));
  const outputs = await session.run(syntheticFeeds(inputs, 3));
  await session.release();
  return outputs;
}

/**
 * Writes the network as an accelerated artifact, and asserts that the file is valid, that it computes the very outputs of the
 * portable artifact as users run it, and as written those of its integer reference.
 */
export async function accelerate(t: TestContext, model: Model, recipe: Recipe = {}): Promise<Model> {
  const source = await quantizedNetwork(t, model, { firstLast: { bits: 2 }, weights: { groupSize: 4 }, ...recipe });
  const path = await writeEncoded(t, source, 'accelerated');
  const artifact = await readModel(path);
  await validateModel(artifact);
  assert.deepEqual(await runEncoded(path, 'all'), await runEncoded(await writeEncoded(t, source, 'portable'), 'all'));
  assert.deepEqual(
    await runEncoded(path, 'none'),
    await runEncoded(await writeEncoded(t, source, 'integerReference'), 'none'),
  );
  return artifact;
}

/** `tritforge` operators by node name, and the numbers of the others. */
export function operators(model: Model): { calls: Record<string, string>; others: Record<string, number> } {
  const calls: Record<string, string> = {};
  const others: Record<string, number> = {};
  for (const { name, opType, domain } of model.graph.nodes) {
    if (domain === TRITFORGE_DOMAIN) calls[name] = opType;
    else others[opType] = (others[opType] ?? 0) + 1;
  }
  return { calls, others };
}

/** The node of a layer. */
export const callNamed = (model: Model, name: string): Node => model.graph.nodes.find((node) => node.name === name)!;

type Attributes = Readonly<Record<string, Attribute>>;

/** A graph of 8 × 9 × 9 images, written down node by node; each node is named after its output. */
export class Net {
  readonly nodes: TinyNode[] = [];
  readonly constants: Record<string, Tensor> = {};
  #seed = 1;

  conv(from: string, to: string, attributes: Attributes = {}, shape: readonly number[] = [8, 8, 3, 3]): this {
    const fan = shape.slice(1).reduce((product, size) => product * size, 1);
    this.constants[`${to}.w`] = randomTensor(shape, this.#seed++, Math.sqrt(2 / fan));
    this.constants[`${to}.b`] = randomTensor([shape[0]!], this.#seed++, 0.1);
    const kernel = shape.slice(2);
    const pads =
      'auto_pad' in attributes ? {} : { pads: intsValue([...kernel, ...kernel].map((size) => (size - 1) / 2)) };
    return this.op('Conv', [from, `${to}.w`, `${to}.b`], to, { ...pads, ...attributes });
  }

  op(op: string, inputs: readonly string[], to: string, attributes: Attributes = {}): this {
    this.nodes.push({ op, name: to, inputs, outputs: [to], attributes });
    return this;
  }

  ints(name: string, values: readonly number[]): this {
    this.constants[name] = tensorFromInt64([values.length], values);
    return this;
  }

  model(output: string, input: readonly (number | string)[] = ['N', 8, 9, 9], opset = 17): Model {
    const { nodes, constants } = this;
    return tinyModel({
      inputs: [['x', 'float32', input]],
      outputs: [[output, 'float32', null]],
      nodes,
      constants,
      opset,
    });
  }
}
