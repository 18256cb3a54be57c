/**
 *   Conv(x, Transpose(Cast(W₁₆)))        ⇒        Conv(x, W)        W computed once, by onnxruntime
 *
 * Nodes whose inputs are all constants and that feed something which is not: weights of layers first of all. Small results
 * are folded wherever they go, larger ones only where a layer takes them as its weight, so that files do not grow by masks
 * and tables that a node made from a few bytes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  bitsOf,
  elementCount,
  type Graph,
  GraphIndex,
  inferShapes,
  type Model,
  type Node,
  subgraphsOf,
  tensorFromBytes,
  type ValueInfo,
} from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { HostTensor, Runtime } from '../runtime/runtime.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { removeUnused } from './edit-graph.js';

const RANDOM_OPS: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);
/** Operators whose second input is a weight worth folding whatever its size; MatMul takes it on either side. */
const WEIGHT_POSITIONS: Readonly<Record<string, readonly number[]>> = { Conv: [1, 2], Gemm: [1, 2], MatMul: [0, 1] };
const SMALL_BYTES = 64 * 1024;

export interface FoldConstantsOptions {
  readonly runtime: Runtime;
  readonly scratch: ScratchTensors;
  /** An existing folder. */
  readonly scratchDir: string;
  /** Largest result that is folded. */
  readonly maxResultBytes: number;
}

/** In place, main graph only. @returns whether a node was folded */
export async function foldConstants(model: Model, options: FoldConstantsOptions): Promise<boolean> {
  const cone = constantNodes(model.graph);
  const results = worthFolding(model, cone, options.maxResultBytes);
  if (results.length === 0) return false;
  const needed = nodesBehind(results, cone);
  const tensors = await compute(model, needed, results, options);
  for (const [name, tensor] of tensors) {
    if (tensor.dtype === 'string') continue;
    const { data, dtype, shape } = tensor as HostTensor & { data: Float32Array };
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    model.graph.initializers.set(name, await options.scratch.keep(tensorFromBytes(dtype, shape, bytes)));
    const producer = needed.find((node) => node.outputs.includes(name))!;
    producer.outputs = producer.outputs.map((output) => (output === name ? '' : output));
  }
  removeUnused(model);
  return true;
}

/** Nodes of one graph that compute the same on every run, in order. */
export function constantNodes(graph: Graph): Node[] {
  const constant = new Set(graph.initializers.keys());
  const inputs = new Set(graph.inputs.map((input) => input.name));
  return graph.nodes.filter((node) => {
    const folds =
      node.domain === '' &&
      !RANDOM_OPS.has(node.opType) &&
      subgraphsOf(node).length === 0 &&
      node.inputs.every((name) => name === '' || (constant.has(name) && !inputs.has(name)));
    if (folds) for (const output of node.outputs) constant.add(output);
    return folds;
  });
}

function worthFolding(model: Model, cone: readonly Node[], maxResultBytes: number): string[] {
  const index = new GraphIndex(model.graph);
  const inCone = new Set(cone);
  const shapes = inferShapes(model);
  return cone
    .flatMap((node) => node.outputs)
    .filter((name) => name !== '' && !index.isOutput(name))
    .filter((name) => {
      const outside = index.consumersOf(name).filter((consumer) => !inCone.has(consumer));
      if (outside.length === 0) return false;
      const sizeBytes = sizeOf(shapes.get(name));
      const isWeight = outside.some((consumer) =>
        WEIGHT_POSITIONS[consumer.opType]?.some((i) => consumer.inputs[i] === name),
      );
      return sizeBytes === null ? isWeight : sizeBytes <= (isWeight ? maxResultBytes : SMALL_BYTES);
    });
}

function sizeOf(value: Pick<ValueInfo, 'dtype' | 'shape'> | undefined): number | null {
  if (!value?.shape?.every((size) => typeof size === 'number')) return null;
  return (elementCount(value.shape as number[]) * Math.max(bitsOf(value.dtype), 8)) / 8;
}

function nodesBehind(results: readonly string[], cone: readonly Node[]): Node[] {
  const wanted = new Set(results);
  const needed: Node[] = [];
  for (const node of cone.toReversed()) {
    if (!node.outputs.some((name) => wanted.has(name))) continue;
    for (const name of node.inputs) wanted.add(name);
    needed.push(node);
  }
  return needed.reverse();
}

async function compute(
  model: Model,
  nodes: readonly Node[],
  results: readonly string[],
  options: FoldConstantsOptions,
): Promise<Map<string, HostTensor>> {
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const graph: Graph = {
    name: 'constants',
    nodes: nodes.map((node) => ({ ...node, outputs: [...node.outputs] })),
    inputs: [],
    outputs: results.map((name) => ({ name, dtype: 'undefined', shape: null })),
    initializers: new Map([...model.graph.initializers].filter(([name]) => used.has(name))),
    valueInfo: new Map(),
  };
  const folder = await mkdtemp(join(options.scratchDir, 'constants-'));
  try {
    const path = join(folder, 'constants.onnx');
    await writeModel({ ...model, graph, functions: [] }, path, { externalData: 'by-reference' });
    const session = await options.runtime.load(path, { threads: 1, optimization: 'none' });
    try {
      return await session.run(new Map());
    } finally {
      await session.release();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
