/**
 * What of a network is trained: weights and biases of its layers, and the gain and shift of its normalizations. Everything else, such
 * as tables of embeddings and constants of arithmetic, stays as it is.
 */
import { intAttribute, type Model, type Node, type Tensor } from '../ir/index.js';
import type { RunningStatistics } from './running-statistics.js';

/** An initializer that is trained. */
export interface TrainableTensor {
  readonly name: string;
  readonly kind: 'weight' | 'bias' | 'gain';
  /** Of a weight: how many products are added up in one output. */
  readonly fanIn: number;
}

type Graph = Model['graph'];

const LINEAR: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
/** Have gain and bias as inputs 1 and 2. */
const NORMALIZATIONS: ReadonlySet<string> = new Set([
  'BatchNormalization',
  'GroupNormalization',
  'InstanceNormalization',
  'LayerNormalization',
]);

/**
 * In the order of the graph, each once.
 * @param byBatch normalizations in training mode: biases right in front of them are taken away again, and are left out
 */
export function trainableTensors({ graph }: Model, byBatch: readonly RunningStatistics[]): TrainableTensor[] {
  const futile = futileBiases(graph, new Set(byBatch.map(({ node }) => node)));
  const found = new Map<string, TrainableTensor>();
  for (const node of graph.nodes) {
    for (const tensor of tensorsOf(node, graph)) {
      const isFloat = graph.initializers.get(tensor.name)?.dtype === 'float32';
      if (isFloat && !found.has(tensor.name) && !futile.has(tensor.name)) found.set(tensor.name, tensor);
    }
  }
  return [...found.values()];
}

function tensorsOf(node: Node, graph: Graph): TrainableTensor[] {
  const [first = '', second = '', third = ''] = node.inputs;
  if (node.domain !== '') return [];
  if (NORMALIZATIONS.has(node.opType))
    return [
      { name: second, kind: 'gain', fanIn: 1 },
      { name: third, kind: 'bias', fanIn: 1 },
    ];
  if (node.opType === 'Add') return addedBias(node, graph);
  if (!LINEAR.has(node.opType)) return [];
  const name = graph.initializers.has(second) ? second : first;
  const weight = graph.initializers.get(name);
  if (weight === undefined) return [];
  const fanIn = fanInOf(node, weight, name === first);
  return [
    { name, kind: 'weight', fanIn },
    { name: third, kind: 'bias', fanIn },
  ];
}

/** A constant that is added to what a layer puts out. */
function addedBias({ inputs }: Node, graph: Graph): TrainableTensor[] {
  const bias = inputs.find((name) => graph.initializers.has(name));
  const sum = inputs.find((name) => name !== bias);
  const producer = graph.nodes.find(({ outputs }) => sum !== undefined && outputs.includes(sum));
  if (bias === undefined || producer === undefined || !LINEAR.has(producer.opType)) return [];
  return [{ name: bias, kind: 'bias', fanIn: 1 }];
}

function fanInOf(node: Node, { shape }: Tensor, isLeft: boolean): number {
  const taps = shape.slice(2).reduce((product, size) => product * size, 1);
  switch (node.opType) {
    case 'Conv':
      return shape[1]! * taps;
    case 'ConvTranspose':
      return (shape[0]! / intAttribute(node, 'group', 1)) * taps;
    case 'Gemm':
      return shape[intAttribute(node, 'transB', 0)]!;
    default:
      return shape.at(isLeft ? -1 : -2)!;
  }
}

/** Biases of layers whose outputs go into normalizations by the batch and nowhere else. */
function futileBiases(graph: Graph, byBatch: ReadonlySet<Node>): Set<string> {
  const results = new Set(graph.outputs.map(({ name }) => name));
  const futile = graph.nodes.flatMap(({ opType, inputs, outputs }) => {
    const [output = ''] = outputs;
    const users = graph.nodes.filter((node) => node.inputs.includes(output));
    const isTakenAway = users.every((node) => byBatch.has(node)) && !results.has(output);
    return LINEAR.has(opType) && isTakenAway && inputs[2] !== undefined ? [inputs[2]] : [];
  });
  return new Set(futile);
}
