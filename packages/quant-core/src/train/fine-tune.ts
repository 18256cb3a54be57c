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
import { TritforgeError } from '@tritforge/contracts';
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
import { codesOf, type LatentParameters, valuesOf } from './latent-parameters.js';
import type { Augmentation } from './messages.js';
import { Optimiser, type OptimiserSettings } from './optimisers.js';
import { runShapes } from './run-shapes.js';
import { type StoreSummary, storeSamples } from './sample-store.js';
import { rateAt, type Schedule } from './schedule.js';
import { shuffled } from './shuffled.js';
import { buildStudentGraph } from './student-graph.js';
import { latentParameters, startVector, type TrainedTensor, trainedTensors } from './trained-tensors.js';
import { TrainingClock, type TrainingLength } from './training-clock.js';
import type { Parameter } from './training-graph.js';
import { type TrainingSetup, TrainingThreads } from './training-threads.js';
import { TuningCheckpoint, type TuningState } from './tuning-checkpoint.js';

export interface FineTuneOptions {
  readonly data: JobDataset;
  /** Passes over the data, which give the same result in every run, or time, all in all. */
  readonly length: TrainingLength;
  /** Epochs without a better one after which to stop; null for never. */
  readonly patience: number | null;
  /** Samples of one update, a multiple of `threads`; fewer where there are few samples. */
  readonly batch: number;
  readonly threads: number;
  readonly optimiser: OptimiserSettings;
  /** Of each tensor relative to its own size: see {@link LatentParameters.groups}. */
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly loss: DistillationLoss;
  /** Whether the scales of activations are trained too. */
  readonly trainsScales: boolean;
  readonly seed: number;
  readonly augmentation: Augmentation | null;
  readonly scratchDir: string;
  /** Where the state is kept after each epoch, to go on from; the owner of its folder removes it. */
  readonly checkpoint?: { readonly path: string; readonly identity: string } | undefined;
  readonly onEpoch?: ((epoch: Epoch) => void) | undefined;
  readonly onStep?: ((step: Step) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where a training is. */
export interface Step {
  readonly epoch: number;
  /** Of the whole training that is done. */
  readonly share: number;
  readonly secondsLeft: number | null;
  /** Mean of the epoch so far. */
  readonly trainingLoss: number;
  /** After the last whole epoch, and before the first. */
  readonly heldOutLoss: number;
  readonly startLoss: number;
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
  /** Of activations, by what the plan names as `rangeOf`. */
  readonly scales: ReadonlyMap<string, number>;
  readonly curve: readonly Epoch[];
  /** That it was trained on, that were kept aside, and those of an update. */
  readonly samples: number;
  readonly heldOutSamples: number;
  readonly batch: number;
}

/** Of the samples one in so many is kept aside, but not more than the most. */
const HELD_OUT_STRIDE = 8;
const MOST_HELD_OUT = 512;

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
  const samples = await storeTrainingSamples(options);
  const student = await buildStudentGraph(start);
  const run = runShapes(student.model, samples.store, samples.part);
  const scales = options.trainsScales ? student.scales : new Map<string, string>();
  const trained = trainedTensors(start.layers, { ...student, scales });
  const graph = await distilledGraph(student.model, {
    teacher: start.prepared,
    parameters: [...trained.keys()],
    symbols: run.symbols,
    loss: options.loss,
  });
  const parameters = latentParameters(graph.parameters, trained, start);
  const runs = { store: samples.store, recordsPerRun: run.records, latentWeights: parameters.weights };
  const threads = await openThreads(graph, start.prepared, runs, options);
  try {
    const values = await startVector(graph.parameters, trained, start);
    const { best, curve } = await new FineTuning({ threads, parameters, samples, clock, file, options }).run(
      values,
      known,
    );
    const counts = {
      samples: samples.fitting.length,
      heldOutSamples: samples.heldOut.flat().length,
      batch: samples.part * options.threads,
    };
    if (best === null) return { codes: new Map(), biases: new Map(), scales: new Map(), curve, ...counts };
    return { ...resultOf(best, parameters, graph.parameters, trained), curve, ...counts };
  } finally {
    await threads.close();
  }
}

/** The samples in a file, and which of its records are for what. */
interface TrainingSamples {
  readonly store: StoreSummary;
  readonly fitting: readonly number[];
  /** In batches of a thread's part. */
  readonly heldOut: readonly (readonly number[])[];
  /** Samples of a batch that one thread takes. */
  readonly part: number;
}

/** Every eighth sample is kept aside; a rest that fills no batch is left out. Batches are smaller where there are few samples. */
async function storeTrainingSamples({ data, scratchDir, batch, threads }: FineTuneOptions): Promise<TrainingSamples> {
  const { dataset, feedPlan } = data;
  const every = sampleIndices(dataset.sampleCount, dataset.sampleCount);
  const store = await storeSamples(sampleRuns(dataset, feedPlan, every), join(scratchDir, 'samples.bin'));
  const all = Array.from({ length: store.records }, (_, i) => i);
  const isHeldOut = (i: number) => i % HELD_OUT_STRIDE === HELD_OUT_STRIDE - 1 && i < MOST_HELD_OUT * HELD_OUT_STRIDE;
  const [fitting, aside] = [all.filter((i) => !isHeldOut(i)), all.filter(isHeldOut)];
  const part = Math.min(batch / threads, Math.floor(fitting.length / threads), aside.length);
  if (part === 0) throw tooFew(store.records, threads);
  const heldOut = Array.from({ length: Math.floor(aside.length / part) }, (_, i) =>
    aside.slice(i * part, (i + 1) * part),
  );
  return { store, fitting, heldOut, part };
}

async function openThreads(
  { model, parameterInput, lossOutput, gradientOutput, targets, parameters }: DistilledGraph,
  original: Model,
  further: Pick<TrainingSetup, 'store' | 'recordsPerRun' | 'latentWeights'>,
  { scratchDir, threads, augmentation }: FineTuneOptions,
): Promise<TrainingThreads> {
  const write = async (name: string, graph: Model) => {
    const path = join(scratchDir, `${name}.onnx`);
    await writeModel(graph, path);
    return path;
  };
  const lossOnly = copyOf(withOutputs(model, [lossOutput]));
  removeUnused(lossOnly);
  return new TrainingThreads(
    {
      trainingGraph: await write('training', model),
      lossGraph: await write('loss', lossOnly),
      teacher: { path: await write('teacher', original), targets },
      ...further,
      names: { parameters: parameterInput, loss: lossOutput, gradient: gradientOutput },
      augmentation,
    },
    threads,
    parameters.reduce((sum, parameter) => sum + parameter.length, 0),
  );
}

/** What a training works with. */
interface Parts {
  readonly threads: TrainingThreads;
  readonly parameters: LatentParameters;
  readonly samples: TrainingSamples;
  readonly clock: TrainingClock;
  readonly file: TuningCheckpoint | undefined;
  readonly options: FineTuneOptions;
}

class FineTuning {
  readonly #parts: Parts;
  /** Of the weights, for each thread. */
  readonly #shares: readonly (readonly number[])[];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#shares = parts.parameters.shares(parts.threads.count);
  }

  /** @param known where an earlier attempt stopped */
  async run(start: Float32Array, known: TuningState | null): Promise<{ best: Float32Array | null; curve: Epoch[] }> {
    const { threads, clock, file, options } = this.#parts;
    const state = known ?? (await this.#begin(start));
    const optimiser = this.#optimiser(start, state);
    const curve = [...state.curve];
    let { best } = state;
    let least = Math.min(...curve.map(({ heldOutLoss }) => heldOutLoss));
    threads.latent.set(state.latent);
    await this.#project();
    for (let epoch = curve.length; clock.share(epoch, 0) < 1 && !this.#isHopeless(curve); epoch++) {
      const trainingLoss = await this.#epoch(epoch, optimiser, curve);
      const heldOutLoss = await this.#judge();
      const isBest = heldOutLoss < least;
      const latent = threads.latent.slice();
      if (isBest) [best, least] = [latent, heldOutLoss];
      curve.push({ epoch, seconds: clock.seconds, trainingLoss, heldOutLoss, isBest });
      await file?.write({ latent, best, optimiser: optimiser.state, curve, seconds: clock.seconds });
      options.onEpoch?.(curve.at(-1)!);
    }
    return { best, curve };
  }

  #isHopeless(curve: readonly Epoch[]): boolean {
    const { patience } = this.#parts.options;
    return patience !== null && curve.length - 1 - curve.findLastIndex(({ isBest }) => isBest) >= patience;
  }

  /** Judges the codes that the network came with, not those that are solved anew from what they mean. */
  async #begin(start: Float32Array): Promise<TuningState> {
    const { threads, clock, parameters, options } = this.#parts;
    threads.parameters.set(start);
    const heldOutLoss = await this.#judge();
    const epoch = { epoch: 0, seconds: clock.seconds, trainingLoss: null, heldOutLoss, isBest: true };
    options.onEpoch?.(epoch);
    return { latent: parameters.from(start), best: null, optimiser: undefined, curve: [epoch], seconds: clock.seconds };
  }

  #optimiser(start: Float32Array, { optimiser }: TuningState): Optimiser {
    const { parameters, options } = this.#parts;
    return new Optimiser(options.optimiser, parameters.groups(start, options.optimiser), start.length, optimiser);
  }

  async #epoch(epoch: number, optimiser: Optimiser, curve: readonly Epoch[]): Promise<number> {
    const { threads, parameters, samples, clock, options } = this.#parts;
    const { learningRate, schedule, seed, signal } = options;
    const { part } = samples;
    const batch = part * threads.count;
    const order = shuffled(samples.fitting, mulberry32(seed + epoch));
    const steps = Math.floor(order.length / batch);
    let loss = 0;
    let done = 0;
    for (; done < steps && clock.share(epoch, done / steps) < 1; done++) {
      throwIfCanceled(signal);
      const parts = Array.from({ length: threads.count }, (_, i) => {
        const first = done * batch + i * part;
        return order.slice(first, first + part);
      });
      loss += await threads.step(parts, seed + (epoch * steps + done) * threads.count, signal);
      const share = clock.share(epoch, done / steps);
      parameters.chain(threads.gradient, threads.parameters);
      optimiser.step(threads.latent, threads.gradient, learningRate * rateAt(schedule, share));
      await this.#project();
      options.onStep?.({
        epoch,
        share: Math.min(share, 1),
        secondsLeft: clock.secondsLeft(epoch, (done + 1) / steps),
        trainingLoss: loss / (done + 1),
        heldOutLoss: curve.at(-1)!.heldOutLoss,
        startLoss: curve[0]!.heldOutLoss,
      });
    }
    return loss / Math.max(done, 1);
  }

  /** Codes anew, each thread those of some weights. */
  async #project(): Promise<void> {
    const { threads, parameters, options } = this.#parts;
    parameters.project(threads.latent, threads.parameters);
    await threads.project(this.#shares, options.signal);
  }

  /** The loss on samples kept aside. */
  async #judge(): Promise<number> {
    const { threads, samples, clock, options } = this.#parts;
    const before = clock.seconds;
    const loss = await threads.evaluate(samples.heldOut, options.signal);
    clock.reserve(clock.seconds - before);
    return loss;
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

function tooFew(records: number, threads: number): TritforgeError {
  const fewest = Math.max(HELD_OUT_STRIDE, threads + 1);
  return new TritforgeError(
    'DATASET_TOO_SMALL',
    `There are ${records} samples to train on; training takes ${fewest} or more, of which it keeps some aside`,
    { field: 'datasets.training', remediation: 'Send more samples, a few hundred for a result worth having.' },
  );
}
