/**
 *   MatMul(x, W) + b        ⇒        Gemm(x, W, b)        for x of rank 2, constant W [K, N] and constant b [N]
 *
 * The integer Gemm adds its bias to the int32 accumulator; a MatMul would return to floating point first.
 */
import {
  GraphIndex,
  inferShapes,
  type Model,
  NameAllocator,
  type Node,
  readFloats,
  tensorFromFloats,
} from '../ir/index.js';
import { perChannelBias } from './output-channels.js';

/** In place, main graph only. @returns whether a pair was fused */
export async function matmulToGemm(model: Model): Promise<boolean> {
  const index = new GraphIndex(model.graph);
  const shapes = inferShapes(model);
  const names = new NameAllocator(model);
  const fused = new Set<Node>();
  for (const node of model.graph.nodes) {
    if (node.opType !== 'MatMul' || node.domain !== '' || shapes.get(node.inputs[0]!)?.shape?.length !== 2) continue;
    const add = index.soleConsumerOf(node.outputs[0]!);
    if (add !== undefined && (await fuse(node, add, index, names))) fused.add(add);
  }
  model.graph.nodes = model.graph.nodes.filter((node) => !fused.has(node));
  return fused.size > 0;
}

async function fuse(matmul: Node, add: Node, index: GraphIndex, names: NameAllocator): Promise<boolean> {
  const weight = index.constantOf(matmul.inputs[1]!)?.tensor;
  const other = add.inputs.find((name) => name !== matmul.outputs[0]);
  const bias = other === undefined ? undefined : index.constantOf(other)?.tensor;
  if (add.opType !== 'Add' || add.domain !== '' || weight?.dtype !== 'float32' || bias?.dtype !== 'float32')
    return false;
  if (weight.shape.length !== 2 || bias.shape.length > 2) return false;
  const vector = perChannelBias(await readFloats(bias), bias.shape, weight.shape[1]!);
  if (vector === null) return false;
  const name = names.value(`${other}_vector`);
  index.graph.initializers.set(name, tensorFromFloats([vector.length], vector));
  matmul.opType = 'Gemm';
  matmul.inputs.push(name);
  matmul.outputs = [...add.outputs];
  return true;
}
