/**
 * START HERE: fine-tunes a quantized network from its own graph, so that it gives the outputs of the original.
 *
 *   student   the network with quantized activations, run with what its codes mean
 *   teacher   the original; no labels are needed
 *   step      batch → gradient (threads) → latent weights (optimiser) → codes solved anew → next batch
 *
 * The parameters that did best on samples that are kept aside are the result; those before the first step count too.
 */
import type { QuantizedModel } from '../artifact/quantized-model.js';
import type { Node, Tensor } from '../ir/index.js';
import type { QuantizedWeight, WeightCodes } from '../layers/encoded-weight.js';
import { BatchNormalizer } from './batch-normalizer.js';
import type { LatentParameters } from './latent-parameters.js';
import { codesOf, valuesOf } from './latent-weight.js';
import { asStored, latentParameters, startVector, type TrainedTensor } from './trained-tensors.js';
import { TrainingClock, type TrainingLength } from './training-clock.js';
import type { Parameter } from './training-graph.js';
import { TuningCheckpoint } from './tuning-checkpoint.js';
import { type TuningObjective, tuningGraphs } from './tuning-graphs.js';
import { TuningLoop, type TuningResult, type TuningSteps } from './tuning-loop.js';
import { storeTuningSamples, type TuningData } from './tuning-samples.js';
import { openTuningThreads } from './tuning-threads.js';

export interface FineTuneOptions extends Omit<TuningData, 'labels'>, TuningSteps, TuningObjective {
  /** Passes over the data, which give the same result in every run, or time, all in all. */
  readonly length: TrainingLength;
  /** Where the state is kept after each epoch, to go on from; the owner of its folder removes it. */
  readonly checkpoint?: { readonly path: string; readonly identity: string } | undefined;
}

/** The network with other codes and biases; with none where no step made it better. */
export interface FineTuned extends Omit<TuningResult, 'best'> {
  /** By original weight tensor. */
  readonly codes: ReadonlyMap<Tensor, WeightCodes>;
  /** By the layer's node: where layers share a bias, each has one of its own now. */
  readonly biases: ReadonlyMap<Node, Float32Array>;
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

/**
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH, DATASET_TOO_SMALL, DATASET_LABELS_MISSING, DATASET_LABELS_INVALID,
 *   CANCELED
 */
export async function fineTune(start: Start, options: FineTuneOptions): Promise<FineTuned> {
  const { checkpoint, length, seed, signal } = options;
  const file = checkpoint && new TuningCheckpoint(checkpoint.path, checkpoint.identity);
  const known = (await file?.read()) ?? null;
  const clock = new TrainingClock(length, known?.seconds);
  const { loss } = options;
  const labels = loss.kind === 'mse' ? null : loss.labels;
  const samples = await storeTuningSamples({ ...options, labels });
  const graphs = await tuningGraphs(start, samples, options);
  const { trained, normalized, run } = graphs;
  const all = graphs.training.parameters;
  const parameters = latentParameters(all, trained, start, options.weightScales);
  const threads = await openTuningThreads(graphs, samples.store, parameters, options);
  try {
    const begun = await startVector(all, parameters, trained, start);
    const asItIs = asStored(begun, parameters, trained, start);
    const measured = { samples: samples.fitting, batch: run.records, seed, signal };
    const normalizer =
      normalized && new BatchNormalizer(normalized.layers, { parameters: all, latent: parameters }, measured);
    await normalizer?.begin(begun, threads);
    const loop = new TuningLoop({ threads, parameters, samples, clock, file, normalizer, options });
    const { best, ...course } = await loop.run(asItIs, begun, known);
    const counts = {
      samples: samples.fitting.length,
      heldOutSamples: samples.heldOut.flat().length,
      batch: samples.part * options.threads,
    };
    if (best === null) return { codes: new Map(), biases: new Map(), scales: new Map(), ...course, ...counts };
    return { ...resultOf(best, parameters, all, trained), ...course, ...counts };
  } finally {
    await threads.close();
  }
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
  const biases = new Map<Node, Float32Array>();
  const scales = new Map<string, number>();
  for (const parameter of parameters) {
    const tensor = trained.get(parameter.name)!;
    if (tensor.kind === 'bias') biases.set(tensor.planned.layer.node, valuesOf(values, parameter));
    if (tensor.kind === 'scale') scales.set(tensor.rangeOf, values[parameter.offset]!);
  }
  return { codes, biases, scales };
}
