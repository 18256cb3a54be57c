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
import { sampleIndices, sampleRuns } from '../calibrate/index.js';
import { withOutputs } from '../calibrate/observed-model.js';
import { throwIfCanceled } from '../cancellation.js';
import type { Model, Tensor } from '../ir/index.js';
import type { QuantizedWeight, WeightCodes } from '../layers/encoded-weight.js';
import { writeModel } from '../onnx/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { mulberry32 } from '../seeded-random.js';
import { type DistillationLoss, type DistilledGraph, distilledGraph } from './distilled-graph.js';
import { codesOf, type LatentWeight, project } from './latent-weights.js';
import type { Augmentation } from './messages.js';
import { Optimiser, type OptimiserSettings } from './optimisers.js';
import { storeSamples } from './sample-store.js';
import { rateAt, type Schedule } from './schedule.js';
import { buildStudentGraph } from './student-graph.js';
import { latentWeights, startVector, type TrainedTensor, trainedTensors } from './trained-tensors.js';
import type { Parameter } from './training-graph.js';
import { TrainingThreads } from './training-threads.js';

export interface FineTuneOptions {
  readonly data: JobDataset;
  /** Passes over the data, which give the same result in every run, or time. */
  readonly length: { readonly epochs: number } | { readonly minutes: number };
  /** Samples of one update, a multiple of `threads`. */
  readonly batch: number;
  readonly threads: number;
  readonly optimiser: OptimiserSettings;
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly loss: DistillationLoss;
  readonly seed: number;
  readonly augmentation: Augmentation | null;
  readonly scratchDir: string;
  readonly onEpoch?: ((epoch: Epoch) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One point of the curve; the first is before any step. */
export interface Epoch {
  readonly epoch: number;
  readonly seconds: number;
  /** Mean over the epoch; null before the first. */
  readonly trainingLoss: number | null;
  /** On samples kept aside. */
  readonly heldOutLoss: number;
  readonly isBest: boolean;
}

/** The network with other codes and biases; with none where no step made it better. */
export interface FineTuned {
  /** By original weight tensor. */
  readonly codes: ReadonlyMap<Tensor, WeightCodes>;
  /** By the planned layer's bias. */
  readonly biases: ReadonlyMap<Tensor, Float32Array>;
  readonly curve: readonly Epoch[];
}

/** Of the samples one in so many is kept aside, but not more than the most. */
const HELD_OUT_STRIDE = 8;
const MOST_HELD_OUT = 512;

/** A network whose weights are quantized. */
export type Start = QuantizedModel & { readonly weights: ReadonlyMap<Tensor, QuantizedWeight> };

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH, CANCELED */
export async function fineTune(start: Start, options: FineTuneOptions): Promise<FineTuned> {
  const student = await buildStudentGraph(start);
  const trained = trainedTensors(start.layers, student.slots);
  const graph = await distilledGraph(student.model, {
    teacher: start.prepared,
    parameters: [...trained.keys()],
    batch: options.batch / options.threads,
    loss: options.loss,
  });
  const latent = await startVector(graph.parameters, trained, start.weights);
  const weights = latentWeights(graph.parameters, trained);
  const training = new FineTuning(graph, weights, options);
  const threads = await training.open(start.prepared);
  try {
    const { best, curve } = await training.run(threads, latent);
    if (best === null) return { codes: new Map(), biases: new Map(), curve };
    return { ...resultOf(best, { parameters: graph.parameters, trained, weights }), curve };
  } finally {
    await threads.close();
  }
}

class FineTuning {
  readonly #graph: DistilledGraph;
  readonly #weights: readonly LatentWeight[];
  readonly #options: FineTuneOptions;
  /** Records of the store. */
  #fitting: number[] = [];
  #heldOut: number[][] = [];

  constructor(graph: DistilledGraph, weights: readonly LatentWeight[], options: FineTuneOptions) {
    this.#graph = graph;
    this.#weights = weights;
    this.#options = options;
  }

  async open(teacher: Model): Promise<TrainingThreads> {
    const { data, scratchDir, threads, batch, augmentation } = this.#options;
    const { dataset, feedPlan } = data;
    const all = sampleIndices(dataset.sampleCount, dataset.sampleCount);
    const store = await storeSamples(sampleRuns(dataset, feedPlan, all), join(scratchDir, 'samples.bin'));
    this.#split(store.records, batch / threads);
    const { model, parameterInput, lossOutput, gradientOutput, targets, parameters } = this.#graph;
    const write = async (name: string, graph: Model) => {
      const path = join(scratchDir, `${name}.onnx`);
      await writeModel(graph, path);
      return path;
    };
    const lossOnly = copyOf(withOutputs(model, [lossOutput]));
    removeUnused(lossOnly);
    const length = parameters.reduce((sum, parameter) => sum + parameter.length, 0);
    return new TrainingThreads(
      {
        trainingGraph: await write('training', model),
        lossGraph: await write('loss', lossOnly),
        teacher: { path: await write('teacher', teacher), targets },
        store,
        names: { parameters: parameterInput, loss: lossOutput, gradient: gradientOutput },
        augmentation,
      },
      threads,
      length,
    );
  }

  async run(threads: TrainingThreads, latent: Float32Array): Promise<{ best: Float32Array | null; curve: Epoch[] }> {
    const { length: wanted, signal } = this.#options;
    const length = latent.length;
    const groups = [{ begin: 0, end: length, rate: 1, decay: 0 }];
    const optimiser = new Optimiser(this.#options.optimiser, groups, length);
    const clock = performance.now();
    const seconds = () => (performance.now() - clock) / 1000;
    // The codes that the network came with, not those that are solved anew from what they mean.
    threads.parameters.set(latent);
    let best: Float32Array | null = null;
    let least = await threads.evaluate(this.#heldOut, signal);
    project(latent, this.#weights, threads.parameters);
    const curve: Epoch[] = [];
    const report = (epoch: Epoch) => {
      curve.push(epoch);
      this.#options.onEpoch?.(epoch);
    };
    report({ epoch: 0, seconds: seconds(), trainingLoss: null, heldOutLoss: least, isBest: true });
    const share = (epoch: number, done: number) =>
      'epochs' in wanted ? (epoch - 1 + done) / wanted.epochs : seconds() / (60 * wanted.minutes);
    for (let epoch = 1; share(epoch, 0) < 1; epoch++) {
      const trainingLoss = await this.#epoch(epoch, { threads, latent, optimiser, share });
      const heldOutLoss = await threads.evaluate(this.#heldOut, signal);
      const isBest = heldOutLoss < least;
      if (isBest) [best, least] = [latent.slice(), heldOutLoss];
      report({ epoch, seconds: seconds(), trainingLoss, heldOutLoss, isBest });
    }
    return { best, curve };
  }

  async #epoch(epoch: number, { threads, latent, optimiser, share }: Progress): Promise<number> {
    const { batch, learningRate, schedule, seed, signal } = this.#options;
    const order = shuffled(this.#fitting, mulberry32(seed + epoch));
    const steps = Math.floor(order.length / batch);
    const part = batch / threads.count;
    let loss = 0;
    let done = 0;
    for (; done < steps && share(epoch, done / steps) < 1; done++) {
      throwIfCanceled(signal);
      const parts = Array.from({ length: threads.count }, (_, i) => {
        const first = done * batch + i * part;
        return order.slice(first, first + part);
      });
      loss += await threads.step(parts, seed + (epoch * steps + done) * threads.count, signal);
      optimiser.step(latent, threads.gradient, learningRate * rateAt(schedule, share(epoch, done / steps)));
      project(latent, this.#weights, threads.parameters);
    }
    return loss / Math.max(done, 1);
  }

  /** Every eighth record is kept aside; a rest that fills no batch is left out. */
  #split(records: number, part: number): void {
    const all = Array.from({ length: records }, (_, i) => i);
    const isHeldOut = (i: number) => i % HELD_OUT_STRIDE === HELD_OUT_STRIDE - 1 && i < MOST_HELD_OUT * HELD_OUT_STRIDE;
    this.#fitting = all.filter((i) => !isHeldOut(i));
    const heldOut = all.filter(isHeldOut);
    this.#heldOut = Array.from({ length: Math.floor(heldOut.length / part) }, (_, i) =>
      heldOut.slice(i * part, (i + 1) * part),
    );
  }
}

interface Progress {
  readonly threads: TrainingThreads;
  readonly latent: Float32Array;
  readonly optimiser: Optimiser;
  /** Of the whole training that is done. */
  readonly share: (epoch: number, done: number) => number;
}

function resultOf(best: Float32Array, { parameters, trained, weights }: Trained): Pick<FineTuned, 'codes' | 'biases'> {
  const codes = new Map(weights.map((weight) => [weight.planned.layer.weight, codesOf(best, weight)]));
  const biases = new Map<Tensor, Float32Array>();
  for (const { name, offset, length } of parameters) {
    const tensor = trained.get(name)!;
    if (tensor.kind === 'bias') biases.set(tensor.bias, best.slice(offset, offset + length));
  }
  return { codes, biases };
}

/** What a vector of parameters stands for. */
interface Trained {
  readonly parameters: readonly Parameter[];
  readonly trained: ReadonlyMap<string, TrainedTensor>;
  readonly weights: readonly LatentWeight[];
}

/** A model that nodes and constants may be removed from. */
function copyOf({ graph, ...model }: Model): Model {
  return {
    ...model,
    graph: { ...graph, initializers: new Map(graph.initializers), valueInfo: new Map(graph.valueInfo) },
  };
}

function shuffled(values: readonly number[], next: () => number): number[] {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
