import {
  elementCount,
  type Graph,
  GraphIndex,
  isFloat,
  type Model,
  type Node,
  readInts,
  tensorFromFloats,
} from '../ir/index.js';
import { gaussian, seededRandom } from './random.js';

const NEAR_ZERO_DEVIATION = 0.05;

type Fill = (random: () => number, normal: () => number) => number;

/** Scales of normalizations. */
const aroundOne: Fill = (random) => 0.75 + random() / 2;
/** Variances of normalizations: what the weights below make of inputs of variance 1. */
const aroundTwo: Fill = (random) => 1.5 + random();
/** Biases, shifts and means. */
const nearZero: Fill = (_, normal) => NEAR_ZERO_DEVIATION * normal();

/** By operator and position, what a constant is good for; weights of layers come from their fan-in instead. */
const FILLS: Readonly<Record<string, Fill>> = {
  'BatchNormalization.1': aroundOne,
  'BatchNormalization.2': nearZero,
  'BatchNormalization.3': nearZero,
  'BatchNormalization.4': aroundTwo,
  'Mul.1': aroundOne,
  'Add.1': nearZero,
  'Conv.2': nearZero,
  'Gemm.2': nearZero,
};
const WEIGHTS: ReadonlySet<string> = new Set(['Conv.1', 'Gemm.1']);
const RESHAPING: ReadonlySet<string> = new Set(['Reshape', 'Unsqueeze']);

/**
 * Turns every ConstantOfShape of a model without weights, and every float initializer that was left, into a seeded random
 * initializer, in place. Weights are normal with variance 2 / fan-in (He et al., arXiv 1502.01852, eq. 10), so that
 * activations stay finite, and normalizations fit them.
 */
export async function giveRandomWeights(model: Model, seed: number): Promise<void> {
  const { graph } = model;
  const index = new GraphIndex(graph);
  const random = seededRandom(seed);
  const normal = gaussian(random);
  const shapes = await shapesOfConstants(graph, index);
  for (const [name, shape] of shapes) {
    const fill = fillOf(name, shapes, index);
    const values = new Float32Array(elementCount(shape));
    for (let i = 0; i < values.length; i++) values[i] = fill(random, normal);
    graph.initializers.set(name, tensorFromFloats(shape, values));
  }
  graph.nodes = graph.nodes.filter(({ opType }) => opType !== 'ConstantOfShape');
  const used = new Set(graph.nodes.flatMap((node) => node.inputs));
  for (const name of graph.initializers.keys()) if (!used.has(name)) graph.initializers.delete(name);
  // The shapes that ConstantOfShape took were inputs too.
  graph.inputs = graph.inputs.filter(({ name }) => used.has(name));
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Shapes of the float constants that something uses, in the order of the file. */
async function shapesOfConstants(graph: Graph, index: GraphIndex): Promise<Shapes> {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { dtype, shape }] of graph.initializers) {
    if (isFloat(dtype) && index.consumersOf(name).length > 0) shapes.set(name, shape);
  }
  for (const node of graph.nodes.filter(({ opType }) => opType === 'ConstantOfShape')) {
    const sizes = await readInts(graph.initializers.get(node.inputs[0]!)!);
    shapes.set(node.outputs[0]!, sizes.map(Number));
  }
  return shapes;
}

function fillOf(name: string, shapes: Shapes, index: GraphIndex): Fill {
  const { node, position } = userOf(name, index);
  const use = `${node.opType}.${position}`;
  if (WEIGHTS.has(use)) {
    const shape = shapes.get(name)!;
    // The fully connected layers of all these models have a bias, which tells the outputs whatever the weight's order.
    const outputs = node.opType === 'Gemm' ? shapes.get(node.inputs[2]!)![0]! : shape[0]!;
    const deviation = Math.sqrt((2 * outputs) / elementCount(shape));
    return (_, normal) => deviation * normal();
  }
  const fill = FILLS[use];
  if (fill === undefined) throw new TypeError(`constant ${name} feeds ${use}, for which there is no rule`);
  return fill;
}

/** Who takes the constant, however it is reshaped on the way. */
function userOf(name: string, index: GraphIndex): { node: Node; position: number } {
  const node = index.consumersOf(name)[0];
  if (node === undefined) throw new TypeError(`nothing uses constant ${name}`);
  const position = node.inputs.indexOf(name);
  return position === 0 && RESHAPING.has(node.opType) ? userOf(node.outputs[0]!, index) : { node, position };
}
