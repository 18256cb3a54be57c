/**
 * The graphs of a classifier in training, which share one vector of parameters:
 *
 *   [ trained: weights, biases, gains │ running means │ running variances ]
 *
 *   training     takes what is trained; normalizes by the batch
 *   statistics   takes what is trained; puts out means and variances of the batch
 *   inference    takes all of it; puts out scores
 */
import { TritforgeError } from '@tritforge/contracts';
import { knownShapes } from '../autodiff/gradients.js';
import { batchSymbols, type Model, NameAllocator } from '../ir/index.js';
import { trainsNatively } from '../runtime/training-runtime.js';
import { type Parameter, parametersOf, vectorLength } from './parameter-vector.js';
import { onlyWhatComputes, type PartGraph, partGraph } from './part-graph.js';
import { inTrainingMode, normalizations, statisticsGraph } from './running-statistics.js';
import { addSupervisedLoss, rowsOfSample, type SupervisedLoss, scoresOf } from './supervised-loss.js';
import { type TrainableTensor, trainableTensors } from './trainable-tensors.js';
import { buildTrainingGraph, type TrainingGraph } from './training-graph.js';

/** The oldest opset in which all gradients can be written, with its IR version. Nothing that has a gradient computes otherwise in it. */
const TRAINING_OPSET = 16;
const TRAINING_IR_VERSION = 8;

export interface SupervisedGraphs {
  readonly training: TrainingGraph;
  readonly inference: PartGraph;
  /** null where nothing is normalized by the batch. */
  readonly statistics: PartGraph | null;
  readonly teacher: { readonly model: Model; readonly targets: ReadonlyMap<string, string> } | null;
  readonly tensors: readonly TrainableTensor[];
  /** Means, then variances, behind the parameters of the training graph. */
  readonly running: readonly Parameter[];
  /** The input of the training graph that takes labels, int64 [N, rows]. */
  readonly labelInput: string;
  /** Of the scores of one sample. */
  readonly scoreShape: readonly number[];
  readonly rows: number;
  readonly classes: number;
}

/**
 * @param batch samples that a thread takes at once
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, RECIPE_UNSUPPORTED for outputs that are no scores of classes, RECIPE_INVALID for a
 *   teacher with other classes
 */
export async function supervisedGraphs(network: Model, loss: SupervisedLoss, batch: number): Promise<SupervisedGraphs> {
  const symbols = new Map(batchSymbols(network).map((symbol) => [symbol, batch]));
  const byBatch = normalizations(network);
  const tensors = trainableTensors(network, byBatch);
  const scores = scoresOf(network);
  const shape = shapeOf(network, scores, symbols);
  const { rows, classes } = rowsOfSample(shape);
  const names = new NameAllocator(network);
  const [labelInput, teacherInput] = [names.value('labels'), names.value('teacher')];
  const teacher = loss.distillation && teacherOf(loss.distillation.teacher, { shape, batch, teacherInput });
  const training = await buildTrainingGraph(inTrainingMode(inTrainingOpset(network), byBatch), {
    parameters: tensors.map(({ name }) => name),
    targets: [
      { name: labelInput, dtype: 'int64', shape: [batch, rows] },
      ...(teacher === null ? [] : [{ name: teacherInput, dtype: 'float32' as const, shape }]),
    ],
    symbols,
    native: trainsNatively(),
    addLoss: (b) => addSupervisedLoss(b, { scores, labels: labelInput, teacher: teacher && teacherInput }, loss),
  });
  const { parameters } = training;
  const runningNames = [...byBatch.map(({ mean }) => mean), ...byBatch.map(({ variance }) => variance)];
  const running = parametersOf(network, runningNames, vectorLength(parameters));
  const measured = byBatch.length === 0 ? null : statisticsGraph(network, byBatch, symbols);
  return {
    training,
    inference: partGraph(network, scores, [...parameters, ...running]),
    statistics: measured && partGraph(measured.model, measured.output, parameters),
    teacher,
    tensors,
    running,
    labelInput,
    scoreShape: shape.slice(1),
    rows,
    classes,
  };
}

/** Shares everything; the network that is written keeps its own opset. */
function inTrainingOpset(model: Model): Model {
  const opset = Math.max(model.opsetImports.get('') ?? 0, TRAINING_OPSET);
  const irVersion = Math.max(model.irVersion, TRAINING_IR_VERSION);
  return { ...model, irVersion, opsetImports: new Map(model.opsetImports).set('', opset) };
}

function teacherOf(
  model: Model,
  { shape, batch, teacherInput }: { shape: readonly number[]; batch: number; teacherInput: string },
) {
  const output = scoresOf(model);
  const symbols = new Map(batchSymbols(model).map((symbol) => [symbol, batch]));
  const own = shapeOf(model, output, symbols);
  if (own.join() !== shape.join())
    throw new TritforgeError('RECIPE_INVALID', `The teacher puts out [${own}], the network [${shape}]`, {
      field: 'teacher',
      remediation: 'Take a teacher for the same classes.',
    });
  return { model: onlyWhatComputes(model, output), targets: new Map([[output, teacherInput]]) };
}

function shapeOf(model: Model, value: string, symbols: ReadonlyMap<string, number>): readonly number[] {
  const shape = knownShapes(model, symbols).get(value);
  if (shape === undefined)
    throw new TritforgeError('RECIPE_UNSUPPORTED', `the shape of ${value} cannot be told before the network is run`, {
      field: 'model',
      remediation: 'Export the network with fixed sizes of all dimensions but the batch.',
    });
  return shape;
}
