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
  readonly features?: MatchedFeatures | undefined;
}

/** Values within the networks that are compared besides their outputs. */
export interface MatchedFeatures {
  /** By value of the original the one of the student. */
  readonly values: ReadonlyMap<string, string>;
  /** Of the mean of their squared errors, each relative to the mean square of the original's. */
  readonly weight: number;
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

/** A training graph whose loss is the distance to outputs of the original network, and to values within. */
export interface DistilledGraph extends TrainingGraph {
  /** By value of the original network the input of the training graph that takes it. */
  readonly targets: ReadonlyMap<string, string>;
  /** The part of the loss that outputs make: what networks are judged by. */
  readonly outputLoss: string;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE */
export async function distilledGraph(
  student: Model,
  { teacher, parameters, symbols, loss, features }: DistilledGraphOptions,
): Promise<DistilledGraph> {
  const shapes = inferShapes(teacher, { symbols });
  const { outputs } = teacher.graph;
  const compared = loss.kind === 'mse' ? outputs : outputs.filter(({ name }) => name === loss.output);
  const targets = new Map(
    [...compared.map(({ name }) => name), ...(features?.values.keys() ?? [])].map((name) => [name, `${name}_teacher`]),
  );
  const shapeOf = (name: string) => {
    const shape = shapes.get(name, teacher.graph)?.shape ?? null;
    if (shape?.every((size) => typeof size === 'number')) return shape;
    throw unknownShape(name);
  };
  // What is not an output may get another layout, or vanish, when layers become operators of our own.
  const seen = withFurtherOutputs(student, [...(features?.values.values() ?? [])]);
  let outputLoss = '';
  const graph = await buildTrainingGraph(seen, {
    parameters,
    targets: [...targets].map(([value, name]) => ({ name, dtype: 'float32', shape: shapeOf(value) })),
    symbols,
    native: trainsNatively(),
    addLoss: (b) => {
      const pairs = compared.map(({ name }): Pair => [name, targets.get(name)!]);
      outputLoss = loss.kind === 'mse' ? errors(b, pairs) : divergence(b, pairs[0]!, loss, teacher);
      if (features === undefined) return outputLoss;
      return b.binary('Add', outputLoss, featureErrors(b, features, targets));
    },
  });
  return { ...graph, targets, outputLoss };
}

function withFurtherOutputs({ graph, ...model }: Model, names: readonly string[]): Model {
  const outputs = [...graph.outputs, ...names.map((name) => ({ name, dtype: 'float32' as const, shape: null }))];
  return { ...model, graph: { ...graph, outputs } };
}

/** A value of the student and what it is to be. */
type Pair = readonly [student: string, teacher: string];

function errors(b: ShapedBuilder, pairs: readonly Pair[]): string {
  return pairs
    .map(([student, teacher]) => squaredError(b, student, teacher))
    .reduce((sum, error) => b.binary('Add', sum, error));
}

function featureErrors(
  b: ShapedBuilder,
  { values, weight }: MatchedFeatures,
  targets: ReadonlyMap<string, string>,
): string {
  const pairs = [...values].map(([original, student]): Pair => [student, targets.get(original)!]);
  return b.scaled(errors(b, pairs), weight / pairs.length);
}

function divergence(
  b: ShapedBuilder,
  [student, teacher]: Pair,
  { temperature, scores }: DistillationLoss & { kind: 'distill' },
  { graph }: Model,
): string {
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
    `The shape of ${output} cannot be told without running the model`,
    {
      field: 'model',
      remediation: 'Leave recipe.fineTune out, or export the model without control flow on the way to its output.',
    },
  );
}
