import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { batchSymbols, inferShapes, type Model } from '../ir/index.js';
import { distillation, squaredError } from './losses.js';
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
export type DistillationLoss =
  /** The class probabilities in the first output, softened by a temperature unless they are what the network puts out. */
  | {
      readonly kind: 'distill';
      readonly temperature: number;
      /** Weight of the squared error of the scores, relative to their own mean square. */
      readonly scores: number;
    }
  /** All outputs, by the squared error relative to their mean squares. */
  | { readonly kind: 'mse' };

/** A training graph whose loss is the distance to outputs of the original network. */
export interface DistilledGraph extends TrainingGraph {
  /** By output of the original network the input of the training graph that takes it. */
  readonly targets: ReadonlyMap<string, string>;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE */
export async function distilledGraph(
  student: Model,
  { teacher, parameters, batch, loss }: DistilledGraphOptions,
): Promise<DistilledGraph> {
  const symbols = new Map(batchSymbols(teacher).map((symbol) => [symbol, batch]));
  const shapes = inferShapes(teacher, { symbols });
  const compared = loss.kind === 'mse' ? teacher.graph.outputs : teacher.graph.outputs.slice(0, 1);
  const targets = new Map(compared.map(({ name }) => [name, `${name}_teacher`]));
  const graph = await buildTrainingGraph(student, {
    parameters,
    targets: compared.map(({ name }) => ({
      name: targets.get(name)!,
      dtype: 'float32',
      shape: shapes.get(name, teacher.graph)?.shape ?? null,
    })),
    symbols,
    addLoss: (b) => (loss.kind === 'mse' ? errors(b, targets) : divergence(b, targets, loss, teacher)),
  });
  return { ...graph, targets };
}

function errors(b: ShapedBuilder, targets: ReadonlyMap<string, string>): string {
  return [...targets]
    .map(([student, teacher]) => squaredError(b, student, teacher))
    .reduce((sum, error) => b.binary('Add', sum, error));
}

function divergence(
  b: ShapedBuilder,
  targets: ReadonlyMap<string, string>,
  { temperature, scores }: DistillationLoss & { kind: 'distill' },
  { graph }: Model,
): string {
  const [[student, teacher]] = [...targets] as [[string, string]];
  const isProbability = graph.nodes.some(({ opType, outputs }) => opType === 'Softmax' && outputs.includes(student));
  const loss = distillation(b, { student, teacher, temperature, isProbability });
  if (scores === 0 || isProbability) return loss;
  return b.binary('Add', loss, b.scaled(squaredError(b, student, teacher), scores));
}
