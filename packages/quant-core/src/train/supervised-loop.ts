/** The epochs of a training with labels: see train-network.ts. */
import { TritforgeError } from '@tritforge/contracts';
import { sampleIndices } from '../calibrate/index.js';
import { mulberry32 } from '../seeded-random.js';
import type { CheckpointFile, TrainingState } from './checkpoint.js';
import { Judge, type Judgement } from './held-out.js';
import type { LabelledSamples } from './labelled-samples.js';
import { averageInto, clipNorm, Optimiser, type OptimiserState, type ParameterGroup } from './optimisers.js';
import { vectorLength } from './parameter-vector.js';
import { PooledStatistics } from './running-statistics.js';
import { rateAt } from './schedule.js';
import { piecesOf, shuffled } from './shuffled.js';
import type { SupervisedGraphs } from './supervised-graphs.js';
import type { TrainOptions } from './train-network.js';
import { TrainingClock } from './training-clock.js';
import type { TrainingThreads } from './training-threads.js';

/** One point of the curve. */
export interface TrainedEpoch {
  /** 1, 2, … */
  readonly epoch: number;
  /** Since the beginning, all attempts together. */
  readonly seconds: number;
  readonly secondsLeft: number;
  /** Mean over the epoch, while weights changed. */
  readonly trainingLoss: number;
  /** Of the network as it would be run, on samples kept aside. */
  readonly heldOut: Judgement;
  readonly isBest: boolean;
}

/** What a training works with. */
interface Parts {
  readonly graphs: SupervisedGraphs;
  readonly threads: TrainingThreads;
  readonly samples: LabelledSamples;
  readonly options: TrainOptions;
  /** Where the state is kept after every epoch; null where it is not. */
  readonly file: CheckpointFile<LoopNotes> | null;
}

/** Everything that changes; vectors are those of a checkpoint. */
interface State {
  /** What is trained, and its moving average. */
  readonly weights: Float32Array;
  readonly average: Float32Array | null;
  /** All parameters of the epoch to keep. */
  best: Float32Array;
  readonly optimiser: Optimiser;
  readonly curve: TrainedEpoch[];
}

/** What a checkpoint holds beside vectors. */
export interface LoopNotes {
  readonly steps: number;
  readonly curve: readonly TrainedEpoch[];
}

/** A moving average starts with short memory: it would keep the random start for long. Source: TensorFlow's num_updates. */
const averagingAt = (decay: number, steps: number) => Math.min(decay, (1 + steps) / (10 + steps));

export class SupervisedLoop {
  readonly #parts: Parts;
  /** Records that are trained on, and batches of those kept aside. */
  readonly #fitting: readonly number[];
  readonly #heldOut: readonly (readonly number[])[];
  readonly #part: number;
  readonly #trained: number;

  constructor(parts: Parts) {
    const { threads, samples, options, graphs } = parts;
    const aside = sampleIndices(samples.store.records, options.heldOut);
    const isAside = new Set(aside);
    const all = Array.from({ length: samples.store.records }, (_, i) => i);
    this.#parts = parts;
    this.#part = options.batch / threads.count;
    this.#fitting = all.filter((record) => !isAside.has(record));
    const rest = aside.slice(aside.length - (aside.length % this.#part));
    this.#heldOut = [...piecesOf(aside, this.#part), ...(rest.length > 0 ? [rest] : [])];
    this.#trained = vectorLength(graphs.training.parameters);
  }

  /**
   * @param known where an earlier attempt stopped
   * @returns all parameters of the epoch that is kept
   */
  async run(
    start: Float32Array,
    known: TrainingState<LoopNotes> | null,
  ): Promise<{ vector: Float32Array; curve: readonly TrainedEpoch[] }> {
    const { options, file } = this.#parts;
    const { epochs, keep } = options;
    const state = this.#begin(start, known);
    const { curve } = state;
    const clock = new TrainingClock({ epochs }, curve.at(-1)?.seconds);
    while (curve.length < epochs) {
      const epoch = curve.length + 1;
      const trainingLoss = await this.#epoch(epoch, state, clock);
      const judged = await this.#judge(state);
      if (!Number.isFinite(trainingLoss) || !Number.isFinite(judged.heldOut.loss)) throw diverged(epoch);
      const { seconds } = clock;
      const isBest = curve.every(({ heldOut }) => judged.heldOut.loss < heldOut.loss);
      if (isBest || keep === 'last') state.best = judged.vector;
      const secondsLeft = clock.secondsLeft(epoch, 1)!;
      curve.push({ epoch, seconds, secondsLeft, trainingLoss, heldOut: judged.heldOut, isBest });
      await file?.write({ vectors: vectorsOf(state), notes: { steps: state.optimiser.state.steps, curve } });
      options.onEpoch?.(curve.at(-1)!);
    }
    return { vector: state.best, curve };
  }

  #begin(start: Float32Array, known: TrainingState<LoopNotes> | null): State {
    const { options } = this.#parts;
    const trained = start.slice(0, this.#trained);
    return {
      weights: known?.vectors.get('weights') ?? trained,
      average: options.averaging === null ? null : (known?.vectors.get('average') ?? trained.slice()),
      best: known?.vectors.get('best') ?? start,
      optimiser: new Optimiser(options.optimiser, this.#groups(), this.#trained, known ? memoryOf(known) : undefined),
      curve: [...(known?.notes.curve ?? [])],
    };
  }

  /** Weights decay, biases and gains do not. */
  #groups(): ParameterGroup[] {
    const { graphs, options } = this.#parts;
    return graphs.training.parameters.map(({ offset, length }, i) => {
      const decay = graphs.tensors[i]!.kind === 'weight' ? options.decay : 0;
      return { begin: offset, end: offset + length, rate: 1, decay };
    });
  }

  /** @returns the mean loss */
  async #epoch(epoch: number, { weights, average, optimiser }: State, clock: TrainingClock): Promise<number> {
    const { threads, options } = this.#parts;
    const { batch, seed, epochs, signal } = options;
    const batches = piecesOf(shuffled(this.#fitting, mulberry32(seed + epoch)), batch);
    let loss = 0;
    for (const [step, records] of batches.entries()) {
      threads.parameters.set(weights);
      const count = (epoch - 1) * batches.length + step;
      loss += await threads.step(piecesOf(records, this.#part), seed + count * threads.count, signal);
      if (options.clipNorm !== null) clipNorm(threads.gradient, options.clipNorm);
      // The middle of the step, so that neither the first nor the last has the rate 0.
      const share = (count + 0.5) / (epochs * batches.length);
      const rate = options.learningRate * rateAt(options.schedule, share, options.warmUp);
      optimiser.step(weights, threads.gradient, rate);
      if (average !== null) averageInto(average, weights, averagingAt(options.averaging!, count));
      const done = (step + 1) / batches.length;
      options.onStep?.(clock.share(epoch, done), clock.secondsLeft(epoch, done)!);
    }
    return loss / batches.length;
  }

  /** The network as it would be run: with statistics of the data. */
  async #judge({ weights, average }: State): Promise<{ vector: Float32Array; heldOut: Judgement }> {
    const { threads, samples, graphs, options } = this.#parts;
    const { rows, scoreShape } = graphs;
    threads.parameters.set(average ?? weights);
    if (graphs.statistics !== null) threads.parameters.set(await this.#measureStatistics(), this.#trained);
    const judge = new Judge();
    let batch = 0;
    for await (const scores of threads.vectors('inference', this.#heldOut, options.signal)) {
      const labels = this.#heldOut[batch++]!.flatMap((record) => [
        ...samples.labels.subarray(record * rows, (record + 1) * rows),
      ]);
      judge.add(scores, scoreShape, labels);
    }
    return { vector: threads.parameters.slice(), heldOut: judge.judgement() };
  }

  /** In batches that are mixed, always the same ones. */
  async #measureStatistics(): Promise<Float32Array> {
    const { threads, options } = this.#parts;
    const { seed, statisticsSamples, signal } = options;
    const measured = shuffled(this.#fitting, mulberry32(seed)).slice(0, statisticsSamples);
    const pooled = new PooledStatistics();
    for await (const vector of threads.vectors('statistics', piecesOf(measured, this.#part), signal))
      pooled.add(vector);
    return pooled.vector();
  }
}

function memoryOf({ vectors, notes }: TrainingState<LoopNotes>): OptimiserState {
  const moments = [...vectors].filter(([name]) => name.startsWith('moment')).map(([, vector]) => vector);
  return { steps: notes.steps, moments };
}

function vectorsOf({ weights, average, best, optimiser }: State): Map<string, Float32Array> {
  const moments = optimiser.state.moments.map((vector, i) => [`moment ${i}`, vector] as const);
  return new Map([
    ['weights', weights],
    ...(average === null ? [] : [['average', average] as const]),
    ['best', best],
    ...moments,
  ]);
}

function diverged(epoch: number): TritforgeError {
  return new TritforgeError('RECIPE_INVALID', `The loss left the range of numbers in epoch ${epoch}`, {
    field: 'learningRate',
    remediation: 'Train with a lower learning rate, with a longer warm-up or with shorter gradients.',
  });
}
