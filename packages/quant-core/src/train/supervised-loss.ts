/**
 * What a classifier is trained for: the labels, and where there is a teacher its scores beside them,
 *
 *   loss = (1 − α) · cross-entropy(scores, labels) + α · KL(teacher, scores)
 *
 * Source: Hinton, Vinyals and Dean 2015, §2.
 */
import { TritforgeError } from '@tritforge/contracts';
import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { classAxis } from '../evaluate/class-scores.js';
import { elementCount, type Model } from '../ir/index.js';
import { crossEntropy, distillation, labelRows } from './losses.js';

export interface SupervisedLoss {
  /** Share of every label that is spread over all classes. */
  readonly labelSmoothing: number;
  readonly distillation: Teaching | null;
}

export interface Teaching {
  /** Has the inputs of the network that learns, and as many classes. */
  readonly teacher: Model;
  /** α: the part of the loss that the teacher has. */
  readonly weight: number;
  readonly temperature: number;
}

/** Values of the graph that the loss goes between. */
export interface LossInputs {
  readonly scores: string;
  /** int64 [N, rows]. */
  readonly labels: string;
  /** In the shape of the scores; null where nobody teaches. */
  readonly teacher: string | null;
}

/** The value with the scores of a classifier: its first output, or what goes into the softmax that it ends with. */
export function scoresOf({ graph }: Model): string {
  const [output] = graph.outputs;
  const last = graph.nodes.find(({ outputs }) => outputs.includes(output!.name));
  const isSoftmax = last?.opType === 'Softmax' || last?.opType === 'LogSoftmax';
  return isSoftmax ? last.inputs[0]! : output!.name;
}

/** @returns the value with the loss, rank 0 */
export function addSupervisedLoss(b: ShapedBuilder, inputs: LossInputs, loss: SupervisedLoss): string {
  const scores = rowsOfScores(b, inputs.scores);
  const classes = b.shapeOf(scores).at(-1)!;
  const byLabels = () => crossEntropy(b, scores, labelRows(b, inputs.labels, classes, loss.labelSmoothing));
  if (loss.distillation === null || inputs.teacher === null) return byLabels();
  const { weight, temperature } = loss.distillation;
  const teacher = rowsOfScores(b, inputs.teacher);
  const taught = distillation(b, { student: scores, teacher, temperature, isProbability: false });
  if (weight === 1) return taught;
  return b.binary('Add', b.scaled(byLabels(), 1 - weight), b.scaled(taught, weight));
}

/** Rows of scores that a sample has: 1, or one for each token or pixel. @throws TritforgeError RECIPE_UNSUPPORTED */
export function rowsOfSample(shape: readonly number[]): { rows: number; classes: number } {
  const axis = classAxis(shape);
  if (axis === null)
    throw new TritforgeError('RECIPE_UNSUPPORTED', `the network puts out [${shape}], in which no axis holds classes`, {
      field: 'model',
      remediation: 'Train networks whose first output is [N, classes], [N, tokens, classes] or [N, classes, H, W].',
    });
  return { rows: elementCount(shape.slice(1)) / shape[axis]!, classes: shape[axis]! };
}

/** [N, rows, classes]. */
export function rowsOfScores(b: ShapedBuilder, scores: string): string {
  const shape = b.shapeOf(scores);
  const { rows, classes } = rowsOfSample(shape);
  const axis = classAxis(shape)!;
  const others = [...shape.keys()].filter((other) => other !== axis);
  return b.reshape(b.transpose(scores, [...others, axis]), [shape[0]!, rows, classes]);
}
