import { TritforgeError } from '@tritforge/contracts';
import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { classAxis } from '../evaluate/class-scores.js';
import { inferShapes, type Model } from '../ir/index.js';
import { trainsNatively } from '../runtime/training-runtime.js';
import { distillation, squaredError } from './losses.js';
import { buildTrainingGraph, type TrainingGraph } from './training-graph.js';

export interface DistilledGraphOptions {
  /** The original network, of which the student is the quantized one. */
  readonly teacher: Model;
  /** Initializers of the student to train. */
  readonly parameters: readonly string[];
  /** Sizes of the symbolic dimensions, that of the batch included. */
  readonly symbols: ReadonlyMap<string, number>;
  readonly loss: DistillationLoss;
}

/** What the student is pulled towards. */
export type DistillationLoss =
  /** The class probabilities in an output, softened by a temperature unless they are what the network puts out. */
  | {
      readonly kind: 'distill';
      readonly output: string;
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
  { teacher, parameters, symbols, loss }: DistilledGraphOptions,
): Promise<DistilledGraph> {
  const shapes = inferShapes(teacher, { symbols });
  const { outputs } = teacher.graph;
  const compared = loss.kind === 'mse' ? outputs : outputs.filter(({ name }) => name === loss.output);
  const targets = new Map(compared.map(({ name }) => [name, `${name}_teacher`]));
  const shapeOf = (name: string) => {
    const shape = shapes.get(name, teacher.graph)?.shape ?? null;
    if (shape?.every((size) => typeof size === 'number')) return shape;
    throw unknownShape(name);
  };
  const graph = await buildTrainingGraph(student, {
    parameters,
    targets: compared.map(({ name }) => ({
      name: targets.get(name)!,
      dtype: 'float32',
      shape: shapeOf(name),
    })),
    symbols,
    native: trainsNatively(),
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
  const scoresOf = (name: string) => classesLast(b, name);
  const loss = distillation(b, { student: scoresOf(student), teacher: scoresOf(teacher), temperature, isProbability });
  if (scores === 0 || isProbability) return loss;
  return b.binary('Add', loss, b.scaled(squaredError(b, student, teacher), scores));
}

function classesLast(b: ShapedBuilder, output: string): string {
  const shape = b.shapeOf(output);
  const axis = classAxis(shape) ?? shape.length - 1;
  const others = shape.map((_, i) => i).filter((i) => i !== axis);
  return axis === shape.length - 1 ? output : b.transpose(output, [...others, axis]);
}

function unknownShape(output: string): TritforgeError {
  return new TritforgeError(
    'MODEL_NOT_DIFFERENTIABLE',
    `The shape of the output ${output} cannot be told without running the model`,
    {
      field: 'model',
      remediation: 'Leave recipe.fineTune out, or export the model without control flow on the way to its output.',
    },
  );
}
