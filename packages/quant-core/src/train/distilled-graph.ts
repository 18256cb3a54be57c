import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { batchSymbols, inferShapes, type Model } from '../ir/index.js';
import { type Distilled, distillation, squaredError } from './losses.js';
import { buildTrainingGraph, type TrainingGraph } from './training-graph.js';

export interface DistilledGraphOptions {
  /** The original network, of which the student is the quantized one. */
  readonly teacher: Model;
  /** Initializers of the student to train. */
  readonly parameters: readonly string[];
  /** Samples of a batch. */
  readonly batch: number;
  readonly loss: DistillationLoss;
}

/** What the student is pulled towards. */
export interface DistillationLoss {
  /** Softens the probabilities of both networks, without effect where they are what the network puts out. */
  readonly temperature: number;
  /** Weight of the squared error of the scores, relative to their own mean square. */
  readonly scores: number;
}

/** A training graph whose loss is the distance to outputs of the original network. */
export interface DistilledGraph extends TrainingGraph {
  /** By output of the original network the input of the training graph that takes it. */
  readonly targets: ReadonlyMap<string, string>;
}

/** Distils the first output, whose last axis has the classes. */
export async function distilledGraph(
  student: Model,
  { teacher, parameters, batch, loss }: DistilledGraphOptions,
): Promise<DistilledGraph> {
  const [output] = teacher.graph.outputs;
  const name = output!.name;
  const symbols = new Map(batchSymbols(teacher).map((symbol) => [symbol, batch]));
  const shape = inferShapes(teacher, { symbols }).get(name, teacher.graph)?.shape ?? null;
  const target = `${name}_teacher`;
  const isProbability = teacher.graph.nodes.some(
    ({ opType, outputs }) => opType === 'Softmax' && outputs.includes(name),
  );
  const graph = await buildTrainingGraph(student, {
    parameters,
    targets: [{ name: target, dtype: 'float32', shape }],
    symbols,
    addLoss: (b) => addLoss(b, { student: name, teacher: target, isProbability, ...loss }),
  });
  return { ...graph, targets: new Map([[name, target]]) };
}

function addLoss(b: ShapedBuilder, { scores, ...distilled }: Distilled & DistillationLoss): string {
  const divergence = distillation(b, distilled);
  if (scores === 0 || distilled.isProbability) return divergence;
  const error = squaredError(b, distilled.student, distilled.teacher);
  return b.binary('Add', divergence, b.scaled(error, scores));
}
