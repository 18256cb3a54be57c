/**
 * The graphs of a fine-tuning, which share one vector of parameters:
 *
 *   [ weights, biases, scales of activations │ gains of normalizations ]
 *
 *   training     takes all of it; its layers may be normalized by the batch
 *   judging      takes the first part: the network as it is stored
 *   moments      takes the first part; puts out means and variances of what normalized layers put out in it
 *   statistics   takes all of it; the same where layers are normalized by the batch, of what goes into the normalizations
 */
import type { RangeLearning, WeightScales } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import type { Layer } from '../layers/layer.js';
import {
  type DistillationLoss,
  type DistilledGraph,
  distillationLoss,
  distilledGraph,
  type MatchedFeatures,
} from './distilled-graph.js';
import type { Start } from './fine-tune.js';
import { type NormalizedStudent, withNormalizations } from './normalized-student.js';
import { type PartGraph, partGraph } from './part-graph.js';
import { type RunShapes, runShapes } from './run-shapes.js';
import { inTrainingMode, momentsGraph, statisticsGraph } from './running-statistics.js';
import { buildStudentGraph, type StudentGraph } from './student-graph.js';
import { type TrainedTensor, trainedTensors } from './trained-tensors.js';
import type { TuningSamples } from './tuning-samples.js';

/** What a training pursues, and on what network. */
export interface TuningObjective {
  /** The network whose outputs are learned. */
  readonly teacher: Model;
  readonly loss: DistillationLoss;
  /** Values within the network to be matched too. */
  readonly features?: FeatureOptions | undefined;
  readonly activationQuantizer: RangeLearning;
  /** Of uniform weights, and of ternary ones in one plane. */
  readonly weightScales: WeightScales;
  /** Whether convolutions are normalized by the batch in training: see normalized-student.ts. */
  readonly normalizes: boolean;
}

/** Inputs of layers that are to be those of the original. */
export interface FeatureOptions {
  readonly layers: readonly Layer[];
  /** Of the mean of their squared errors, each relative to the mean square of the original's, beside the loss of the outputs. */
  readonly weight: number;
}

export interface TuningGraphs {
  readonly training: DistilledGraph;
  readonly judging: PartGraph;
  readonly teacher: Model;
  /** By initializer of the student. */
  readonly trained: ReadonlyMap<string, TrainedTensor>;
  /** Null where nothing is normalized by the batch. */
  readonly normalized: NormalizedGraphs | null;
  readonly run: RunShapes;
}

export interface NormalizedGraphs extends Pick<NormalizedStudent, 'layers'> {
  readonly moments: PartGraph;
  readonly statistics: PartGraph;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH */
export async function tuningGraphs(
  start: Start,
  { store, part }: TuningSamples,
  { teacher, loss, features, activationQuantizer, normalizes }: TuningObjective,
): Promise<TuningGraphs> {
  const student = await buildStudentGraph(start, activationQuantizer);
  const run = runShapes(student.model, store, part, normalizes);
  const { symbols } = run;
  const normalized = normalizes ? withNormalizations(student, start.layers) : { model: student.model, layers: [] };
  const measured = normalized.layers.map(({ statistics }) => statistics);
  const trained = trainedTensors(start.layers, student, normalized.layers);
  const distillation = { teacher, symbols, loss };
  const training = await distilledGraph(inTrainingMode(normalized.model, measured), {
    ...distillation,
    parameters: [...trained.keys()],
    held: student.held,
    features: features && featuresOf(features, student, teacher),
  });
  const { parameters } = training;
  const stored = parameters.filter(({ name }) => trained.get(name)!.kind !== 'gain');
  const partOf = ({ model, output }: { model: Model; output: string }, of: typeof parameters) =>
    partGraph(model, output, of);
  const outputs = normalized.layers.map(({ output }) => output);
  return {
    training,
    judging: distillationLoss(student.model, distillation, stored),
    teacher,
    trained,
    normalized:
      measured.length === 0
        ? null
        : {
            layers: normalized.layers,
            moments: partOf(momentsGraph(student.model, outputs, symbols), stored),
            statistics: partOf(statisticsGraph(normalized.model, measured, symbols), parameters),
          },
    run,
  };
}

/** Each value once, whichever layers take it in; none that is the same in both networks. */
function featuresOf(
  { layers, weight }: FeatureOptions,
  { slots }: StudentGraph,
  { graph }: Model,
): MatchedFeatures | undefined {
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const values = layers.flatMap(({ node, weightPosition, isTable }) => {
    const slot = isTable ? undefined : slots.get(node);
    const value = node.inputs[1 - weightPosition]!;
    return slot === undefined || inputs.has(value) ? [] : [[value, slot.input] as const];
  });
  return values.length === 0 ? undefined : { values: new Map(values), weight };
}
