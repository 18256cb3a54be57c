/**
 * START HERE: fine-tunes a quantized network from its own graph, so that it gives the outputs of the original.
 *
 *   student   the network with quantized activations, run with what its codes mean
 *   teacher   the original; no labels are needed
 *   step      batch → gradient (threads) → latent weights (optimiser) → codes solved anew → next batch
 *
 * The parameters that did best on samples that are kept aside are the result; those before the first step count too.
 */
import { join } from 'node:path';
import type { QuantizedModel } from '../artifact/quantized-model.js';
import { withOutputs } from '../calibrate/observed-model.js';
import type { Model, Tensor } from '../ir/index.js';
import type { QuantizedWeight, WeightCodes } from '../layers/encoded-weight.js';
import type { Layer } from '../layers/layer.js';
import { writeModel } from '../onnx/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import { type DistillationLoss, type DistilledGraph, distilledGraph, type MatchedFeatures } from './distilled-graph.js';
import { codesOf, type LatentParameters, valuesOf } from './latent-parameters.js';
import { runShapes } from './run-shapes.js';
import { buildStudentGraph, type StudentGraph } from './student-graph.js';
import { latentParameters, startVector, type TrainedTensor, trainedTensors } from './trained-tensors.js';
import { TrainingClock, type TrainingLength } from './training-clock.js';
import type { Parameter } from './training-graph.js';
import { type TrainingSetup, TrainingThreads } from './training-threads.js';
import { TuningCheckpoint } from './tuning-checkpoint.js';
import { TuningLoop, type TuningResult, type TuningSteps } from './tuning-loop.js';
import { storeTuningSamples, type TuningData } from './tuning-samples.js';

export interface FineTuneOptions extends TuningData, TuningSteps {
  /** Passes over the data, which give the same result in every run, or time, all in all. */
  readonly length: TrainingLength;
  readonly loss: DistillationLoss;
  /** Values within the network to be matched too. */
  readonly features?: FeatureOptions | undefined;
  /** Where the state is kept after each epoch, to go on from; the owner of its folder removes it. */
  readonly checkpoint?: { readonly path: string; readonly identity: string } | undefined;
}

/** Inputs of layers that are to be those of the original. */
export interface FeatureOptions {
  readonly layers: readonly Layer[];
  /** Of the mean of their squared errors, each relative to the mean square of the original's, beside the loss of the outputs. */
  readonly weight: number;
}

/** The network with other codes and biases; with none where no step made it better. */
export interface FineTuned extends Omit<TuningResult, 'best'> {
  /** By original weight tensor. */
  readonly codes: ReadonlyMap<Tensor, WeightCodes>;
  /** By the planned layer's bias. */
  readonly biases: ReadonlyMap<Tensor, Float32Array>;
  /** Of activations, by what the plan names as `rangeOf`. */
  readonly scales: ReadonlyMap<string, number>;
  /** That it was trained on, that were kept aside, and those of an update. */
  readonly samples: number;
  readonly heldOutSamples: number;
  readonly batch: number;
}

/** A network whose weights are quantized. */
export interface Start extends Omit<QuantizedModel, 'weights'> {
  readonly weights: ReadonlyMap<Tensor, QuantizedWeight>;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH, DATASET_TOO_SMALL, CANCELED */
export async function fineTune(start: Start, options: FineTuneOptions): Promise<FineTuned> {
  const { checkpoint, length } = options;
  const file = checkpoint && new TuningCheckpoint(checkpoint.path, checkpoint.identity);
  const known = (await file?.read()) ?? null;
  const clock = new TrainingClock(length, known?.seconds);
  const samples = await storeTuningSamples(options);
  const student = await buildStudentGraph(start);
  const run = runShapes(student.model, samples.store, samples.part);
  const trained = trainedTensors(start.layers, student);
  const graph = await distilledGraph(student.model, {
    teacher: start.prepared,
    parameters: [...trained.keys()],
    symbols: run.symbols,
    loss: options.loss,
    features: options.features && featuresOf(options.features, student, start.prepared),
  });
  const parameters = latentParameters(graph.parameters, trained, start);
  const runs = { store: samples.store, recordsPerRun: run.records, latentWeights: parameters.weights };
  const threads = await openThreads(graph, start.prepared, runs, options);
  try {
    const values = await startVector(graph.parameters, trained, start);
    const { best, ...course } = await new TuningLoop({ threads, parameters, samples, clock, file, options }).run(
      values,
      known,
    );
    const counts = {
      samples: samples.fitting.length,
      heldOutSamples: samples.heldOut.flat().length,
      batch: samples.part * options.threads,
    };
    if (best === null) return { codes: new Map(), biases: new Map(), scales: new Map(), ...course, ...counts };
    return { ...resultOf(best, parameters, graph.parameters, trained), ...course, ...counts };
  } finally {
    await threads.close();
  }
}

async function openThreads(
  { model, parameterInput, lossOutput, gradientOutput, outputLoss, targets, parameters }: DistilledGraph,
  original: Model,
  further: Pick<TrainingSetup, 'store' | 'recordsPerRun' | 'latentWeights'>,
  { scratchDir, threads, augmentation }: FineTuneOptions,
): Promise<TrainingThreads> {
  const write = async (name: string, graph: Model) => {
    const path = join(scratchDir, `${name}.onnx`);
    await writeModel(graph, path);
    return path;
  };
  const lossOnly = copyOf(withOutputs(model, [outputLoss]));
  removeUnused(lossOnly);
  return new TrainingThreads(
    {
      trainingGraph: await write('training', model),
      lossGraph: { path: await write('loss', lossOnly), output: outputLoss },
      teacher: { path: await write('teacher', withOutputs(original, [...targets.keys()])), targets },
      ...further,
      names: { parameters: parameterInput, loss: lossOutput, gradient: gradientOutput },
      augmentation,
    },
    threads,
    parameters.reduce((sum, parameter) => sum + parameter.length, 0),
  );
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

function resultOf(
  best: Float32Array,
  latent: LatentParameters,
  parameters: readonly Parameter[],
  trained: ReadonlyMap<string, TrainedTensor>,
): Pick<FineTuned, 'codes' | 'biases' | 'scales'> {
  const values = new Float32Array(best.length);
  latent.project(best, values);
  const codes = new Map<Tensor, WeightCodes>();
  for (const weight of latent.weights) {
    const tensor = trained.get(weight.parameter.name)!;
    if (tensor.kind === 'weight') codes.set(tensor.planned.layer.weight, codesOf(best, weight, values));
  }
  const biases = new Map<Tensor, Float32Array>();
  const scales = new Map<string, number>();
  for (const parameter of parameters) {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind === 'bias') biases.set(tensor.bias, valuesOf(values, parameter));
    if (tensor.kind === 'scale') scales.set(tensor.rangeOf, values[parameter.offset]!);
  }
  return { codes, biases, scales };
}

/** A model that nodes and constants may be removed from. */
function copyOf({ graph, ...model }: Model): Model {
  return {
    ...model,
    graph: { ...graph, initializers: new Map(graph.initializers), valueInfo: new Map(graph.valueInfo) },
  };
}
