/** The steps of a fine-tuning: see fine-tune.ts. */
import { throwIfCanceled } from '../cancellation.js';
import { mulberry32 } from '../seeded-random.js';
import type { BatchNormalizer } from './batch-normalizer.js';
import type { LatentParameters } from './latent-parameters.js';
import type { BiasValues } from './latent-weight.js';
import type { Augmentation } from './messages.js';
import { normOf, Optimiser, type OptimiserSettings, pullBack } from './optimisers.js';
import { rateAt, type Schedule } from './schedule.js';
import { shuffled } from './shuffled.js';
import type { TrainingClock } from './training-clock.js';
import type { TrainingThreads } from './training-threads.js';
import type { TuningCheckpoint, TuningState } from './tuning-checkpoint.js';
import type { TuningSamples } from './tuning-samples.js';

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
  /** Whether it takes the place of the one that was to be kept so far. */
  readonly isBest: boolean;
}

/**
 * Share of the training in which the rate rises: before Adam knows how large gradients are, it moves every weight alike, away from
 * codes that were solved for.
 */
const WARM_UP = 0.05;

/** How steps are made, and who hears of them. */
export interface TuningSteps {
  readonly optimiser: OptimiserSettings;
  /** Of each tensor, or channel of it, relative to its own size: see {@link LatentParameters.groups}. */
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** How strongly parameters are pulled back to where they started: times the learning rate of a step the share of the way. */
  readonly anchor: number;
  /** Epochs without a better one after which to stop; null for never. */
  readonly patience: number | null;
  /** The epoch of the least loss on held-out samples, or the last one that is better there than the start. */
  readonly keep: 'best' | 'last';
  readonly seed: number;
  /** How samples are varied; null where they are not. */
  readonly augmentation: Augmentation | null;
  readonly onEpoch?: ((epoch: Epoch) => void) | undefined;
  readonly onStep?: ((step: Step) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Ends the training where it is; the best so far, or the last, is the result. */
  readonly settle?: AbortSignal | undefined;
}

/** What a training works with. */
interface Parts {
  readonly threads: TrainingThreads;
  readonly parameters: LatentParameters;
  readonly samples: TuningSamples;
  readonly clock: TrainingClock;
  readonly file: TuningCheckpoint | undefined;
  /** Null where nothing is normalized by the batch. */
  readonly normalizer: BatchNormalizer | null;
  readonly options: TuningSteps;
}

/** What moves latent parameters, and what holds them. */
interface Movement {
  readonly optimiser: Optimiser;
  /** Where they started. */
  readonly anchor: Float32Array;
}

export interface TuningResult {
  /** Latent parameters of the best epoch; null where none was better than the start. */
  readonly best: Float32Array | null;
  readonly curve: readonly Epoch[];
  /** The epoch in which losses left the numbers, which ended the training; null where none did. */
  readonly divergedAt: number | null;
}

export class TuningLoop {
  readonly #parts: Parts;
  /** Of the weights, for each thread. */
  readonly #shares: readonly (readonly number[])[];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#shares = parts.parameters.shares(parts.threads.count);
  }

  /**
   * @param asItIs what the network computes with, biases as stored
   * @param start what training begins with: the same, but for what is normalized in training and for biases, which are not rounded
   * @param known where an earlier attempt stopped
   */
  async run(asItIs: Float32Array, start: Float32Array, known: TuningState | null): Promise<TuningResult> {
    const { threads, clock, file, options } = this.#parts;
    const state = known ?? (await this.#begin(asItIs, start));
    const optimiser = this.#optimiser(start, state);
    const anchor = this.#parts.parameters.from(start);
    const curve = [...state.curve];
    let { best } = state;
    let least = Math.min(...curve.map(({ heldOutLoss }) => heldOutLoss));
    threads.latent.set(state.latent);
    await this.#project();
    for (let epoch = curve.length; !this.#isOver(epoch, 0) && !this.#isHopeless(curve); epoch++) {
      const { trainingLoss, trained } = await this.#epoch(epoch, { optimiser, anchor }, curve);
      const latent = threads.latent.slice();
      const { stored, heldOutLoss } = await this.#judgeAsStored(latent, trained);
      if (!Number.isFinite(trainingLoss + heldOutLoss)) return { best, curve, divergedAt: epoch };
      const isBest = heldOutLoss < (options.keep === 'last' ? curve[0]!.heldOutLoss : least);
      if (isBest) [best, least] = [stored, heldOutLoss];
      curve.push({ epoch, seconds: clock.seconds, trainingLoss, heldOutLoss, isBest });
      await file?.write({ latent, best, optimiser: optimiser.state, curve, seconds: clock.seconds });
      options.onEpoch?.(curve.at(-1)!);
    }
    return { best, curve, divergedAt: null };
  }

  #isOver(epoch: number, done: number): boolean {
    const { clock, options } = this.#parts;
    return options.settle?.aborted === true || clock.share(epoch, done) >= 1;
  }

  #isHopeless(curve: readonly Epoch[]): boolean {
    const { patience } = this.#parts.options;
    return patience !== null && curve.length - 1 - curve.findLastIndex(({ isBest }) => isBest) >= patience;
  }

  /** Judges the codes that the network came with, not those that are solved anew from what they mean. */
  async #begin(asItIs: Float32Array, start: Float32Array): Promise<TuningState> {
    const { threads, clock, parameters, options } = this.#parts;
    threads.parameters.set(asItIs);
    const heldOutLoss = await this.#judge();
    const epoch = { epoch: 0, seconds: clock.seconds, trainingLoss: null, heldOutLoss, isBest: true };
    options.onEpoch?.(epoch);
    return { latent: parameters.from(start), best: null, optimiser: undefined, curve: [epoch], seconds: clock.seconds };
  }

  #optimiser(start: Float32Array, { optimiser }: TuningState): Optimiser {
    const { parameters, options } = this.#parts;
    return new Optimiser(options.optimiser, parameters.groups(start, options.optimiser), start.length, optimiser);
  }

  async #epoch(
    epoch: number,
    { optimiser, anchor }: Movement,
    curve: readonly Epoch[],
  ): Promise<{ readonly trainingLoss: number; readonly trained: number }> {
    const { threads, parameters, samples, clock, options } = this.#parts;
    const { learningRate, schedule, seed, signal } = options;
    const { part } = samples;
    const batch = part * threads.count;
    const order = shuffled(samples.fitting, mulberry32(seed + epoch));
    const steps = Math.floor(order.length / batch);
    let loss = 0;
    let done = 0;
    const trained = () => ((epoch - 1) * steps + done) * batch;
    for (; done < steps && !this.#isOver(epoch, done / steps); done++) {
      throwIfCanceled(signal);
      const parts = Array.from({ length: threads.count }, (_, i) => {
        const first = done * batch + i * part;
        return order.slice(first, first + part);
      });
      loss += await threads.step(parts, seed + (epoch * steps + done) * threads.count, signal);
      const share = clock.share(epoch, done / steps);
      parameters.chain(threads.gradient, threads.latent, threads.parameters);
      const rate = learningRate * rateAt(schedule, share, WARM_UP);
      optimiser.step(threads.latent, threads.gradient, rate);
      if (options.anchor > 0) pullBack(threads.latent, anchor, Math.min(rate * options.anchor, 1));
      if (!Number.isFinite(loss + normOf(threads.latent))) return { trainingLoss: Number.NaN, trained: trained() };
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
    return { trainingLoss: loss / Math.max(done, 1), trained: trained() };
  }

  /** Codes anew, each thread those of some weights. */
  async #project(biases?: BiasValues): Promise<void> {
    const { threads, parameters, options } = this.#parts;
    parameters.project(threads.latent, threads.parameters);
    await threads.project(this.#shares, options.signal, biases);
  }

  /**
   * Judges what the artifact would compute.
   * @param latent what is trained, with which the threads go on
   * @param trained samples that the training took so far
   * @returns latent parameters of the network that is judged
   */
  async #judgeAsStored(latent: Float32Array, trained: number): Promise<{ stored: Float32Array; heldOutLoss: number }> {
    const { threads, normalizer } = this.#parts;
    const stored = (await normalizer?.folded(latent, threads, trained)) ?? latent;
    threads.latent.set(stored);
    await this.#project('stored');
    const heldOutLoss = await this.#judge();
    threads.latent.set(latent);
    await this.#project();
    return { stored, heldOutLoss };
  }

  /**
   * The loss on samples kept aside: as they are, and where training varies samples as much again varied, each time alike. The original
   * is all but sure of samples that it was trained on itself; what it says of others shows in what is varied.
   */
  async #judge(): Promise<number> {
    const { threads, samples, clock, options } = this.#parts;
    const before = clock.seconds;
    const losses = [await threads.evaluate(samples.heldOut, null, options.signal)];
    if (options.augmentation !== null)
      losses.push(await threads.evaluate(samples.heldOut, options.seed, options.signal));
    clock.reserve(clock.seconds - before);
    return losses.reduce((sum, loss) => sum + loss) / losses.length;
  }
}
