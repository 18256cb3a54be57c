/**
 * BatchNormalization in training mode, for onnxruntime 1.30, whose own lets the running variance that it puts out overwrite the one
 * that it was given. Per channel, with means over all other axes:
 *
 *   μ = mean x,  v = mean (x − μ)²,  y = norm(x; γ, β, μ, v)
 *
 * with the normalization by given statistics in the end. The statistics are written as the gradient rule writes them, so that
 * onnxruntime computes them once.
 */
import { type Shape, ShapedBuilder } from '../autodiff/shaped-builder.js';
import { floatAttribute, floatValue, intAttribute, type Model, type Node } from '../ir/index.js';

/** Where the statistics of a batch are, per channel. */
export interface BatchStatistics {
  /** The node's running mean and variance. */
  readonly running: readonly [mean: string, variance: string];
  readonly mean: string;
  readonly variance: string;
}

/**
 * The model without normalizations in training mode; their outputs keep their names.
 * @param shapes of all values; those of new ones are added
 */
export function lowerTrainingMode(
  model: Model,
  shapes: Map<string, Shape>,
): { model: Model; statistics: BatchStatistics[] } {
  const builder = new ShapedBuilder(model, shapes);
  const statistics: BatchStatistics[] = [];
  const nodes = model.graph.nodes.flatMap((node) => {
    if (!isTraining(node)) return [node];
    const before = builder.nodes.length;
    statistics.push(lower(builder, node));
    return builder.nodes.slice(before);
  });
  const graph = { ...model.graph, nodes, initializers: new Map(builder.initializers) };
  return { model: { ...model, graph }, statistics };
}

function isTraining(node: Node): boolean {
  return node.domain === '' && node.opType === 'BatchNormalization' && intAttribute(node, 'training_mode', 0) === 1;
}

function lower(b: ShapedBuilder, node: Node): BatchStatistics {
  const [x, scale, bias, ...running] = node.inputs as [string, string, string, string, string];
  const shape = b.shapeOf(x);
  const { mean, variance } = momentsOf(b, x);
  const epsilon = floatValue(floatAttribute(node, 'epsilon', 1e-5));
  b.add('BatchNormalization', [x, scale, bias, mean, variance], shape, { epsilon });
  b.nodes.at(-1)!.outputs = [node.outputs[0]!];
  return { running: running as [string, string], mean, variance };
}

/** Mean and variance of each channel, [C], over all other axes. */
export function momentsOf(b: ShapedBuilder, x: string): { mean: string; variance: string } {
  const shape = b.shapeOf(x);
  const others = [...shape.keys()].filter((axis) => axis !== 1);
  const centred = b.binary('Sub', x, b.mean(x, others, true));
  const mean = b.reshape(b.mean(x, others, true), [shape[1]!]);
  const variance = b.mean(b.binary('Mul', centred, centred), others);
  return { mean, variance };
}
