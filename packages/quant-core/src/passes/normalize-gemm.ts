/**
 *   Gemm{α, β}(x, W, C)        ⇒        Gemm(x, αW, βC)        with C as one value per output channel where it is constant
 *
 * onnxruntime's integer Gemm knows no β, and a bias of rank 1.
 */
import {
  floatAttribute,
  GraphIndex,
  type Model,
  NameAllocator,
  type Node,
  readFloats,
  tensorFromFloats,
} from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { outputChannelAxis, perChannelBias } from './output-channels.js';

/** In place, main graph only. @returns whether a Gemm changed */
export async function normalizeGemm(model: Model, scratch: ScratchTensors): Promise<boolean> {
  const index = new GraphIndex(model.graph);
  const names = new NameAllocator(model);
  let changed = false;
  for (const node of model.graph.nodes) {
    if (node.opType !== 'Gemm' || node.domain !== '') continue;
    changed = (await scaleWeight(node, index, names, scratch)) || changed;
    changed = (await simplifyBias(node, index, names)) || changed;
  }
  return changed;
}

async function scaleWeight(
  node: Node,
  index: GraphIndex,
  names: NameAllocator,
  scratch: ScratchTensors,
): Promise<boolean> {
  const alpha = floatAttribute(node, 'alpha', 1);
  const weight = index.constantOf(node.inputs[1]!)?.tensor;
  if (alpha === 1 || weight?.dtype !== 'float32') return false;
  const scaled = (await readFloats(weight)).map((value) => value * alpha);
  const name = names.value(`${node.inputs[1]}_scaled`);
  index.graph.initializers.set(name, await scratch.keep(tensorFromFloats(weight.shape, scaled)));
  node.inputs[1] = name;
  node.attributes.delete('alpha');
  return true;
}

async function simplifyBias(node: Node, index: GraphIndex, names: NameAllocator): Promise<boolean> {
  const beta = floatAttribute(node, 'beta', 1);
  const bias = index.constantOf(node.inputs[2] ?? '')?.tensor;
  const channels = index.constantOf(node.inputs[1]!)?.tensor.shape[outputChannelAxis(node)!];
  if (
    bias?.dtype !== 'float32' ||
    channels === undefined ||
    (beta === 1 && bias.shape.length === 1 && bias.shape[0] === channels)
  )
    return false;
  const vector = perChannelBias(await readFloats(bias), bias.shape, channels);
  if (vector === null) return false;
  const name = names.value(`${node.inputs[2]}_vector`);
  index.graph.initializers.set(
    name,
    tensorFromFloats(
      [channels],
      vector.map((value) => value * beta),
    ),
  );
  node.inputs[2] = name;
  node.attributes.delete('beta');
  return true;
}
