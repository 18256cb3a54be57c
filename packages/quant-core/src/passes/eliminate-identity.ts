/**
 *   y = Identity(x),  y = Dropout(x) at inference        ⇒        y is x
 *
 * A node between an input or a constant and a graph output stays: the output needs a producer of its name.
 */
import { type Graph, GraphIndex, type Model, type Node, readTensor, type Tensor } from '../ir/index.js';
import { renameUses } from './edit-graph.js';

/** In place, main graph only. @returns whether a node was removed */
export async function eliminateIdentity(model: Model): Promise<boolean> {
  const { graph } = model;
  let changed = false;
  for (const node of [...graph.nodes]) {
    if (await passesThrough(node, graph)) changed = bypass(node, graph) || changed;
  }
  return changed;
}

async function passesThrough(node: Node, graph: Graph): Promise<boolean> {
  if (node.domain !== '') return false;
  if (node.opType === 'Identity') return true;
  if (node.opType !== 'Dropout' || node.attributes.has('is_test')) return false;
  const [, mask = ''] = node.outputs;
  if (mask !== '' && isUsed(graph, mask)) return false;
  const [, , trainingMode = ''] = node.inputs;
  return trainingMode === '' || (await isFalse(graph.initializers.get(trainingMode)));
}

function isUsed(graph: Graph, name: string): boolean {
  const index = new GraphIndex(graph);
  return index.isOutput(name) || index.consumersOf(name).length > 0;
}

async function isFalse(tensor: Tensor | undefined): Promise<boolean> {
  return tensor !== undefined && (await readTensor(tensor)).every((byte) => byte === 0);
}

function bypass(node: Node, graph: Graph): boolean {
  const source = node.inputs[0]!;
  const target = node.outputs[0]!;
  if (!graph.outputs.some((output) => output.name === target)) {
    renameUses(graph, target, source);
    graph.nodes.splice(graph.nodes.indexOf(node), 1);
    return true;
  }
  const producer = graph.nodes.find((other) => other.outputs.includes(source));
  if (producer === undefined || graph.outputs.some((output) => output.name === source)) return false;
  producer.outputs = producer.outputs.map((name) => (name === source ? target : name));
  renameUses(graph, source, target);
  graph.nodes.splice(graph.nodes.indexOf(node), 1);
  return true;
}
