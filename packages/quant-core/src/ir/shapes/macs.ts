import { graphAttribute, subgraphsOf } from '../attribute-access.js';
import type { Dimension, Graph, Model, Node } from '../graph.js';
import { productOf } from './dimensions.js';
import { type InferredShapes, inferShapes } from './infer-shapes.js';

/** Index of the weight or second matrix of operators that multiply and accumulate. */
const WEIGHT_INPUT: ReadonlyMap<string, number> = new Map([
  ['Conv', 1],
  ['ConvInteger', 1],
  ['ConvTranspose', 1],
  ['QLinearConv', 3],
  ['Gemm', 1],
  ['MatMul', 1],
  ['MatMulInteger', 1],
  ['QLinearMatMul', 3],
]);

/**
 * Multiply-accumulates of convolutions and matrix products for one sample: the symbolic first dimension of the inputs
 * counts as 1. Of an If the costlier branch counts. Null when a size is unknown, when a loop does such work, and inside
 * functions.
 */
export function macsOf(model: Model): number | null {
  const shapes = shapesOfOneSample(model);
  const local = new Set(model.functions.map(({ domain, name }) => `${domain}:${name}`));
  if (model.graph.nodes.some((node) => local.has(`${node.domain}:${node.opType}`))) return null;
  return graphMacs(model.graph, shapes);
}

/** Shapes of all values where the symbolic first dimension of the inputs is 1. */
export function shapesOfOneSample(model: Model): InferredShapes {
  return inferShapes(model, { symbols: new Map(batchSymbols(model).map((name) => [name, 1])) });
}

/** Names of the symbolic first dimensions of what is fed. */
export function batchSymbols({ graph }: Model): string[] {
  const fed = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  return fed.map(({ shape }) => shape?.[0]).filter((size) => typeof size === 'string');
}

function graphMacs(graph: Graph, shapes: InferredShapes): number | null {
  let total = 0;
  for (const node of graph.nodes) {
    const macs = nodeMacs(node, graph, shapes);
    if (macs === null) return null;
    total += macs;
  }
  return Number.isSafeInteger(total) ? total : null;
}

function nodeMacs(node: Node, graph: Graph, shapes: InferredShapes): number | null {
  if (node.opType === 'If') {
    const branches = [graphAttribute(node, 'then_branch'), graphAttribute(node, 'else_branch')];
    const costs = branches.map((branch) => (branch ? graphMacs(branch, shapes) : 0));
    return costs[0] === null || costs[1] === null ? null : Math.max(costs[0]!, costs[1]!);
  }
  // How often a body runs is not known; a body without products costs nothing anyway.
  if (subgraphsOf(node).some((body) => graphMacs(body, shapes) !== 0)) return null;
  const weightIndex = node.domain === '' ? WEIGHT_INPUT.get(node.opType) : undefined;
  if (weightIndex === undefined) return 0;
  const shapeOf = (name: string | undefined) => (name === undefined ? null : (shapes.get(name, graph)?.shape ?? null));
  const perOutput = productsPerElement(node, shapeOf(node.inputs[0]), shapeOf(node.inputs[weightIndex]));
  // A transposed convolution spends its products per input element.
  const elements = shapeOf(node.opType === 'ConvTranspose' ? node.inputs[0] : node.outputs[0]);
  const count = elements && productOf(elements);
  return typeof count === 'number' && typeof perOutput === 'number' ? count * perOutput : null;
}

function productsPerElement(node: Node, x: readonly Dimension[] | null, w: readonly Dimension[] | null): Dimension {
  if (node.opType.includes('Conv')) return w && productOf(w.slice(1));
  if (node.opType === 'Gemm') return x?.[node.attributes.get('transA')?.value === 1n ? 0 : 1] ?? null;
  return x?.[x.length - 1] ?? null;
}
