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
/** Results are computed together up to this size, larger ones one by one: intermediate results take several times that. */
const BATCH_BYTES = 64 * 1024 * 1024;

export interface FoldConstantsOptions {
  readonly runtime: Runtime;
  readonly scratch: ScratchTensors;
  /** An existing folder. */
  readonly scratchDir: string;
  /** Largest result that is folded. */
  readonly maxResultBytes: number;
  /** An operator that is left as it is, with all that follows from it. */
  readonly keptOp?: string | undefined;
}

/** In place, main graph only. @returns whether a node was folded */
export async function foldConstants(model: Model, options: FoldConstantsOptions): Promise<boolean> {
  const cone = constantNodes(model.graph, options.keptOp);
  const results = worthFolding(model, cone, options.maxResultBytes);
  if (results.length === 0) return false;
  for (const batch of batches(results)) await foldBatch(model, cone, batch, options);
  removeUnused(model);
  return true;
}

async function foldBatch(
  model: Model,
  cone: readonly Node[],
  results: readonly string[],
  options: FoldConstantsOptions,
): Promise<void> {
  const needed = nodesBehind(results, cone);
  for (const [name, tensor] of await compute(model, needed, results, options)) {
    if (tensor.dtype === 'string') continue;
    const { data, dtype, shape } = tensor as HostTensor & { data: Float32Array };
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    model.graph.initializers.set(name, await options.scratch.keep(tensorFromBytes(dtype, shape, bytes)));
    const producer = needed.find((node) => node.outputs.includes(name))!;
    producer.outputs = producer.outputs.map((output) => (output === name ? '' : output));
  }
}

/** Names in groups whose results are small together; a result of unknown size stands alone. */
function batches(results: readonly FoldedValue[]): string[][] {
  const found: string[][] = [];
  let roomBytes = 0;
  for (const { name, sizeBytes } of results) {
    const neededBytes = sizeBytes ?? BATCH_BYTES;
    if (found.length === 0 || neededBytes > roomBytes) {
      found.push([]);
      roomBytes = BATCH_BYTES;
    }
    found.at(-1)!.push(name);
    roomBytes -= neededBytes;
  }
  return found;
}

/** Nodes of one graph that compute the same on every run, in order. @param keptOp an operator that never counts as such */
export function constantNodes(graph: Graph, keptOp?: string): Node[] {
  const constant = new Set(graph.initializers.keys());
  const inputs = new Set(graph.inputs.map((input) => input.name));
  return graph.nodes.filter((node) => {
    const folds =
      node.domain === '' &&
      !RANDOM_OPS.has(node.opType) &&
      node.opType !== keptOp &&
      subgraphsOf(node).length === 0 &&
      node.inputs.every((name) => name === '' || (constant.has(name) && !inputs.has(name)));
    if (folds) for (const output of node.outputs) constant.add(output);
    return folds;
  });
}

interface FoldedValue {
  readonly name: string;
  /** Null when it shows only once it is computed. */
  readonly sizeBytes: number | null;
}

function worthFolding(model: Model, cone: readonly Node[], maxResultBytes: number): FoldedValue[] {
  const index = new GraphIndex(model.graph);
  const inCone = new Set(cone);
  const shapes = inferShapes(model);
  return cone
    .flatMap((node) => node.outputs)
    .filter((name) => name !== '' && !index.isOutput(name))
    .map((name) => ({ name, sizeBytes: sizeOf(shapes.get(name)) }))
    .filter(({ name, sizeBytes }) => {
      const outside = index.consumersOf(name).filter((consumer) => !inCone.has(consumer));
      if (outside.length === 0) return false;
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
