/**
 * Losses as nodes behind a network; means over all rows of the batch.
 *
 *   distillation    T² · Σ_c p_c · (ln p_c − ln q_c),   p = softmax(teacher / T), q = softmax(student / T)
 *   cross-entropy   − Σ_c y_c · ln q_c,                 y the one-hot label, or smoothed: (1 − ε) y + ε / C
 *   squared error   (student − target)², mean over elements, over the mean square of the target
 *
 * Sources: Hinton, Vinyals and Dean 2015, §2; Szegedy et al. 2016, §7, for smoothed labels.
 */

import type { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { elementCount, intValue, numberOfDtype, tensorFromInt64 } from '../ir/index.js';

/** Scores that are compared: classes are on the last axis. */
export interface Distilled {
  readonly student: string;
  readonly teacher: string;
  readonly temperature: number;
  /** Whether both are probabilities already, so that logarithms take the place of the softmax and T is 1. */
  readonly isProbability: boolean;
}

/** Keeps logarithms of probabilities that float32 made zero finite. */
const SMALLEST_PROBABILITY = 1e-12;

/** @returns the value with the loss, rank 0 */
export function distillation(b: ShapedBuilder, { student, teacher, temperature, isProbability }: Distilled): string {
  const softened = (scores: string) =>
    isProbability ? logarithms(b, scores) : logSoftmax(b, b.scaled(scores, 1 / temperature));
  const [q, p] = [softened(student), softened(teacher)];
  const divergence = b.binary('Mul', b.unary('Exp', p), b.binary('Sub', p, q));
  const scale = isProbability ? 1 : temperature ** 2;
  return b.scaled(sumAll(b, divergence), scale / rowsOf(b, student));
}

/** Of probabilities; scores that have them as their softmax. */
export function logarithms(b: ShapedBuilder, probabilities: string): string {
  return b.unary('Log', b.binary('Max', probabilities, b.scalar(SMALLEST_PROBABILITY)));
}

/**
 * Labels as rows over the classes.
 * @param labels int64, one for each row of scores; one below 0 gives a row of zeros, which counts for nothing
 * @param smoothing ε
 */
export function labelRows(b: ShapedBuilder, labels: string, classes: number, smoothing: number): string {
  const shape = b.shapeOf(labels);
  const column = b.add('Unsqueeze', [labels, b.ints([shape.length])], [...shape, 1]);
  const numbers = b.constant('classes', tensorFromInt64([classes], Array(classes).keys()));
  const rows = b.unary('Cast', b.binary('Equal', column, numbers), { to: intValue(numberOfDtype('float32')) });
  if (smoothing === 0) return rows;
  const share = b.scaled(b.sum(rows, [shape.length], true), smoothing / classes);
  return b.binary('Add', b.scaled(rows, 1 - smoothing), share);
}

/** @param oneHot labels as rows of zeros and a one */
export function crossEntropy(b: ShapedBuilder, scores: string, oneHot: string): string {
  return b.scaled(sumAll(b, b.binary('Mul', oneHot, logSoftmax(b, scores))), -1 / rowsOf(b, scores));
}

/** The error relative to the target, so that values of any scale may be added up. */
export function squaredError(b: ShapedBuilder, value: string, target: string): string {
  const difference = b.binary('Sub', value, target);
  const error = sumAll(b, b.binary('Mul', difference, difference));
  const signal = b.binary('Add', sumAll(b, b.binary('Mul', target, target)), b.scalar(SMALLEST_PROBABILITY));
  return b.binary('Div', error, signal);
}

function logSoftmax(b: ShapedBuilder, scores: string): string {
  return b.unary('LogSoftmax', scores, { axis: intValue(-1) });
}

function sumAll(b: ShapedBuilder, x: string): string {
  return b.sum(
    x,
    b.shapeOf(x).map((_, axis) => axis),
  );
}

function rowsOf(b: ShapedBuilder, scores: string): number {
  return elementCount(b.shapeOf(scores).slice(0, -1));
}
