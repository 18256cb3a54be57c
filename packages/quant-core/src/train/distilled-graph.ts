import { TritforgeError } from '@tritforge/contracts';
import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { classAxis } from '../evaluate/class-scores.js';
import { inferShapes, type Model, type ValueInfo } from '../ir/index.js';
import { trainsNatively } from '../runtime/training-runtime.js';
import type { LabelPlan } from './labelled-samples.js';
import { crossEntropy, distillation, labelRows, logarithms, squaredError } from './losses.js';
import type { Parameter } from './parameter-vector.js';
import type { PartGraph } from './part-graph.js';
import { rowsOfScores } from './supervised-loss.js';
import { buildLossGraph, buildTrainingGraph, type TrainingGraph } from './training-graph.js';

export interface Distillation {
  /** The original network, of which the student is the quantized one. */
  readonly teacher: Model;
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
      /** The labels of the samples, and what they count; the original network counts the rest. Null where nobody looks at them. */
      readonly labels: (LabelPlan & { readonly weight: number }) | null;
    }
  /** All outputs, by the squared error relative to their mean squares. */
  | { readonly kind: 'mse' };

/** Values within the networks that are compared besides their outputs. */
export interface MatchedFeatures {
  /** By value of the original the one of the student. */
  readonly values: ReadonlyMap<string, string>;
  /** Of the mean of their squared errors, each relative to the mean square of the original's. */
  readonly weight: number;
}

/** A training graph whose loss is the distance to outputs of the original network, and to values within. */
export interface DistilledGraph extends TrainingGraph {
  /** By value of the original network the input of the training graph that takes it. */
  readonly targets: ReadonlyMap<string, string>;
}

/** What of a student is trained, and compared besides its outputs. */
export interface DistilledParts {
  /** Initializers. */
  readonly parameters: readonly string[];
  /** Values that count as constants in the gradients. */
  readonly held: ReadonlySet<string>;
  readonly features?: MatchedFeatures | undefined;
}

/**
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE
 */
export async function distilledGraph(student: Model, options: Distillation & DistilledParts): Promise<DistilledGraph> {
  const { parameters, held, symbols, features } = options;
  const outputs = comparedOutputs(options);
  const values = features?.values ?? new Map<string, string>();
  const targets = new Map([...outputs, ...values.keys()].map((name) => [name, targetOf(name)]));
  // What is not an output may get another layout, or vanish, when layers become operators of our own.
  const graph = await buildTrainingGraph(withFurtherOutputs(student, [...values.values()]), {
    parameters,
    held,
    targets: targetInputs([...targets.keys()], options),
    symbols,
    native: trainsNatively(),
    addLoss: (b) => {
      const loss = addOutputLoss(b, options);
      return features === undefined ? loss : b.binary('Add', loss, featureErrors(b, features));
    },
  });
  return { ...graph, targets };
}

/**
 * The loss of the outputs alone, by which networks are judged.
 * @param parameters that its vector begins with
 */
export function distillationLoss(student: Model, options: Distillation, parameters: readonly Parameter[]): PartGraph {
  const { symbols } = options;
  return buildLossGraph(student, {
    parameters,
    targets: targetInputs(comparedOutputs(options), options),
    symbols,
    native: trainsNatively(),
    addLoss: (b) => addOutputLoss(b, options),
  });
}

function comparedOutputs({ teacher, loss }: Distillation): string[] {
  const names = teacher.graph.outputs.map(({ name }) => name);
  return loss.kind === 'mse' ? names : names.filter((name) => name === loss.output);
}

function targetOf(value: string): string {
  return `${value}_teacher`;
}

function targetInputs(values: readonly string[], { teacher, symbols, loss }: Distillation): ValueInfo[] {
  const shapes = inferShapes(teacher, { symbols });
  const targets = values.map((value): ValueInfo => {
    const shape = shapes.get(value, teacher.graph)?.shape ?? null;
    if (!shape?.every((size) => typeof size === 'number')) throw unknownShape(value);
    return { name: targetOf(value), dtype: 'float32', shape };
  });
  if (loss.kind === 'mse' || loss.labels === null) return targets;
  const batch = shapes.get(loss.output, teacher.graph)!.shape![0]!;
  return [...targets, { name: loss.labels.labelInput, dtype: 'int64', shape: [batch, loss.labels.rows] }];
}

function withFurtherOutputs({ graph, ...model }: Model, names: readonly string[]): Model {
  const outputs = [...graph.outputs, ...names.map((name) => ({ name, dtype: 'float32' as const, shape: null }))];
  return { ...model, graph: { ...graph, outputs } };
}

function addOutputLoss(b: ShapedBuilder, options: Distillation): string {
  const pairs = comparedOutputs(options).map((name): Pair => [name, targetOf(name)]);
  const { loss, teacher } = options;
  return loss.kind === 'mse' ? errors(b, pairs) : divergence(b, pairs[0]!, loss, teacher);
}

/** A value of the student and what it is to be. */
type Pair = readonly [student: string, teacher: string];

function errors(b: ShapedBuilder, pairs: readonly Pair[]): string {
  return pairs
    .map(([student, teacher]) => squaredError(b, student, teacher))
    .reduce((sum, error) => b.binary('Add', sum, error));
}

function featureErrors(b: ShapedBuilder, { values, weight }: MatchedFeatures): string {
  const pairs = [...values].map(([original, student]): Pair => [student, targetOf(original)]);
  return b.scaled(errors(b, pairs), weight / pairs.length);
}

function divergence(
  b: ShapedBuilder,
  [student, teacher]: Pair,
  { temperature, scores, labels }: DistillationLoss & { kind: 'distill' },
  { graph }: Model,
): string {
  const isProbability = graph.nodes.some(({ opType, outputs }) => opType === 'Softmax' && outputs.includes(student));
  const scoresOf = (name: string) => classesLast(b, name);
  const loss = distillation(b, { student: scoresOf(student), teacher: scoresOf(teacher), temperature, isProbability });
  const taught =
    scores === 0 || isProbability ? loss : b.binary('Add', loss, b.scaled(squaredError(b, student, teacher), scores));
  if (labels === null) return taught;
  const rows = rowsOfScores(b, student);
  const own = isProbability ? logarithms(b, rows) : rows;
  const byLabels = crossEntropy(b, own, labelRows(b, labels.labelInput, labels.classes, 0));
  return b.binary('Add', b.scaled(taught, 1 - labels.weight), b.scaled(byLabels, labels.weight));
}

function classesLast(b: ShapedBuilder, output: string): string {
  const shape = b.shapeOf(output);
  const axis = classAxis(shape) ?? shape.length - 1;
  const others = shape.map((_, i) => i).filter((i) => i !== axis);
  return axis === shape.length - 1 ? output : b.transpose(output, [...others, axis]);
}

function unknownShape(value: string): TritforgeError {
  return new TritforgeError(
    'MODEL_NOT_DIFFERENTIABLE',
    `The shape of ${value} cannot be told without running the model`,
    {
      field: 'model',
      remediation: 'Leave recipe.fineTune out, or export the model without control flow on the way to its output.',
    },
  );
}
