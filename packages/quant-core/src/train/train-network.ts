/**
 * START HERE: trains a float classifier from its graph and labels, from random weights or those that it has.
 *
 *   step    batch → gradient (threads, normalized by the batch) → weights (optimiser) → next batch
 *   epoch   statistics measured anew → held-out samples judged by the network as it would be run → checkpoint
 *
 * The same seed, data and number of threads give the same bits, also when training was interrupted and goes on from a checkpoint.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import { fileDigest } from '../file-digest.js';
import { type Model, type Tensor, tensorFromFloats } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { createTrainingRuntime } from '../runtime/training-runtime.js';
import { CheckpointFile, identityOf } from './checkpoint.js';
import { heNormal } from './initial-weights.js';
import { storeLabelled } from './labelled-samples.js';
import type { Augmentation } from './messages.js';
import type { OptimiserSettings } from './optimisers.js';
import { initialVector, vectorLength } from './parameter-vector.js';
import type { Schedule } from './schedule.js';
import { type SupervisedGraphs, supervisedGraphs } from './supervised-graphs.js';
import { type LoopNotes, SupervisedLoop, type TrainedEpoch } from './supervised-loop.js';
import type { SupervisedLoss } from './supervised-loss.js';
import { TrainingThreads } from './training-threads.js';

export interface TrainOptions {
  /** With labels. */
  readonly data: JobDataset;
  /** Samples that are kept aside, evenly spread over the data. */
  readonly heldOut: number;
  /** `he-normal` throws the weights of the network away. */
  readonly start: 'he-normal' | 'as-given';
  readonly epochs: number;
  /** Samples of one update, a multiple of `threads`. */
  readonly batch: number;
  readonly threads: number;
  readonly loss: SupervisedLoss;
  readonly optimiser: OptimiserSettings;
  readonly learningRate: number;
  /** Of weights; biases and gains do not decay. */
  readonly decay: number;
  readonly schedule: Schedule;
  /** Share of the training in which the rate rises from 0. */
  readonly warmUp: number;
  /** Longest gradient; null leaves gradients as they are. */
  readonly clipNorm: number | null;
  /** δ of an exponential moving average of the weights, which then is what is judged and returned; null for the weights themselves. */
  readonly averaging: number | null;
  readonly augmentation: Augmentation | null;
  /** Samples that statistics of normalizations are measured on. */
  readonly statisticsSamples: number;
  /** Which epoch is returned. */
  readonly keep: 'best' | 'last';
  readonly seed: number;
  /** An existing folder; what is put there is removed again. */
  readonly scratchDir: string;
  /** A file that the state is kept in after every epoch, and gone on from when it is there; its owner removes it. */
  readonly checkpoint?: string | undefined;
  readonly onEpoch?: ((epoch: TrainedEpoch) => void) | undefined;
  /** @param share of the training that is done */
  readonly onStep?: ((share: number, secondsLeft: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TrainedNetwork {
  /** The network that was given, with other weights and statistics. */
  readonly model: Model;
  readonly curve: readonly TrainedEpoch[];
  /** Name and version of what computed gradients. */
  readonly engine: string;
}

/**
 * @param network as `prepareForTraining` leaves it; stays as it is
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_LABELS_MISSING, DATASET_LABELS_INVALID, DATASET_SHAPE_MISMATCH,
 *   RECIPE_INVALID for options that contradict each other or the checkpoint and for losses that leave the numbers, RECIPE_UNSUPPORTED
 *   for networks that cannot be trained in batches, CANCELED
 *
 * @example
 * const { model, curve } = await trainNetwork(network, { data, heldOut: 1000, start: 'he-normal', epochs: 14, batch: 128, … });
 */
export async function trainNetwork(network: Model, options: TrainOptions): Promise<TrainedNetwork> {
  checkOptions(options);
  const graphs = await supervisedGraphs(network, options.loss, options.batch / options.threads);
  const folder = await mkdtemp(join(options.scratchDir, 'train-'));
  try {
    const files = await writeGraphs(graphs, folder);
    const start = await startVector(network, graphs, options);
    const file = checkpointOf(options, await identify(files, start, options));
    // Before the samples are read, which may take minutes: it may be another training's.
    const known = (await file?.read()) ?? null;
    const samples = await storeLabelled(options.data, join(folder, 'samples.bin'), graphs, options.signal);
    const threads = openThreads(graphs, files, samples.store, options, start.length);
    try {
      const loop = new SupervisedLoop({ graphs, threads, samples, options, file });
      const { vector, curve } = await loop.run(start, known);
      return { model: withVector(network, graphs, vector), curve, engine: createTrainingRuntime().engine };
    } finally {
      await threads.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Paths of the graphs that threads load. */
interface GraphFiles {
  readonly training: string;
  readonly inference: string;
  readonly statistics: string | null;
  readonly teacher: string | null;
}

async function writeGraphs(graphs: SupervisedGraphs, folder: string): Promise<GraphFiles> {
  const write = async (name: string, model: Model) => {
    const path = join(folder, `${name}.onnx`);
    await writeModel(model, path);
    return path;
  };
  const { training, inference, statistics, teacher } = graphs;
  return {
    training: await write('training', training.model),
    inference: await write('inference', inference.model),
    statistics: statistics && (await write('statistics', statistics.model)),
    teacher: teacher && (await write('teacher', teacher.model)),
  };
}

function openThreads(
  { training, inference, statistics, teacher }: SupervisedGraphs,
  files: GraphFiles,
  store: Awaited<ReturnType<typeof storeLabelled>>['store'],
  { threads, augmentation }: TrainOptions,
  length: number,
): TrainingThreads {
  const part = (path: string, graph: { output: string; parameterInput: string }) => ({
    path,
    output: graph.output,
    parameters: graph.parameterInput,
  });
  const vectorGraphs = new Map([['inference', part(files.inference, inference)]]);
  if (statistics !== null) vectorGraphs.set('statistics', part(files.statistics!, statistics));
  return new TrainingThreads(
    {
      trainingGraph: files.training,
      lossGraph: null,
      vectorGraphs,
      teacher: teacher && { path: files.teacher!, targets: teacher.targets },
      store,
      names: {
        parameters: training.parameterInput,
        loss: training.lossOutput,
        gradient: training.gradientOutput,
      },
      augmentation,
    },
    threads,
    length,
    vectorLength(training.parameters),
  );
}

/** What is trained, then the statistics that the network came with. */
async function startVector(network: Model, graphs: SupervisedGraphs, options: TrainOptions): Promise<Float32Array> {
  const { parameters } = graphs.training;
  const trained =
    options.start === 'he-normal'
      ? heNormal(parameters, graphs.tensors, options.seed)
      : await initialVector(network, parameters);
  const running = await initialVector(network, graphs.running);
  const start = new Float32Array(trained.length + running.length);
  start.set(trained);
  start.set(running, trained.length);
  return start;
}

function checkpointOf({ checkpoint }: TrainOptions, identity: string): CheckpointFile<LoopNotes> | null {
  return checkpoint === undefined ? null : new CheckpointFile(checkpoint, identity);
}

/** A digest of all that the result depends on. */
async function identify(files: GraphFiles, start: Float32Array, options: TrainOptions): Promise<string> {
  const { data, loss, scratchDir, checkpoint, onEpoch, onStep, signal, ...plain } = options;
  const paths = Object.values(files).filter((path): path is string => path !== null);
  return identityOf({
    // The loss, the batch and the teacher are in the graphs.
    graphs: await Promise.all(paths.map(fileDigest)),
    start: createHash('sha256').update(start).digest('hex'),
    data: data.digest,
    preprocess: data.dataset.preprocess,
    options: plain,
    engine: createTrainingRuntime().engine,
  });
}

function withVector(network: Model, { training, running }: SupervisedGraphs, vector: Float32Array): Model {
  const initializers = new Map<string, Tensor>(network.graph.initializers);
  for (const { name, shape, offset, length } of [...training.parameters, ...running])
    initializers.set(name, tensorFromFloats(shape, vector.slice(offset, offset + length)));
  return { ...network, graph: { ...network.graph, initializers } };
}

function checkOptions({ batch, threads, heldOut, statisticsSamples, data }: TrainOptions): void {
  const { sampleCount } = data.dataset;
  if (data.feedPlan.runSamples !== null) throw fixedBatch(data.feedPlan.runSamples);
  if (batch % threads !== 0) throw invalid('batch', `Batches of ${batch} samples cannot be cut into ${threads} parts`);
  if (batch + heldOut > sampleCount)
    throw invalid(
      'batch',
      `${sampleCount} samples are too few for ${heldOut} to be kept aside and a batch of ${batch}`,
    );
  if (heldOut < 1) throw invalid('heldOut', 'No sample is kept aside to judge the network by');
  if (statisticsSamples < batch / threads)
    throw invalid('statisticsSamples', `Statistics of ${statisticsSamples} samples do not fill the part of a thread`);
}

function invalid(field: string, message: string): TritforgeError {
  return new TritforgeError('RECIPE_INVALID', message, { field });
}

function fixedBatch(samples: number): TritforgeError {
  return new TritforgeError('RECIPE_UNSUPPORTED', `the network takes batches of ${samples} and nothing else`, {
    field: 'model',
    remediation: 'Export it with a symbolic first dimension of its inputs and output.',
  });
}
