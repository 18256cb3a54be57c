/**
 * START HERE: how many channels each width of a network is to have, by differentiable search.
 *
 *   half of the samples    pairs drawn → loss of the mixed network → weights, γ and β of the candidates of the pairs
 *   the other half         pairs drawn → loss and budgets          → likelihoods of candidates
 *   after an epoch         a larger candidate joins where the largest looks best: see candidates.ts
 *
 * or, where that is not bilevel, both by every step on all samples.
 *
 * Source: Park et al. 2022, "Automatic Network Adaptation for Ultra-Low Uniform-Precision Quantization", on top of Dong and Yang 2019
 * (TAS), §3. Weights learn as in fine-tuning, by Adam at rates in proportion to their sizes, in place of SGD.
 */
import { throwIfCanceled } from '../../cancellation.js';
import { mulberry32 } from '../../seeded-random.js';
import { CheckpointFile } from '../../train/checkpoint.js';
import { rateAt } from '../../train/schedule.js';
import { piecesOf, shuffled } from '../../train/shuffled.js';
import { TrainingClock } from '../../train/training-clock.js';
import { budgetLoss, type Choices, likeliestChannels } from '../budget-loss.js';
import { probabilities } from '../candidates.js';
import { costOf } from '../cost.js';
import { pairGradient, samplePair } from '../sample-pair.js';
import type { Pairs } from '../supernet/supernet.js';
import type { WidthId } from '../widths/width-table.js';
import type { SearchEpoch, Searched, SearchOptions } from './search-options.js';
import { type SearchSamples, searchSamples } from './search-samples.js';
import { type SearchNotes, SearchState } from './search-state.js';

/** Share of the search in which the rate of weights rises. */
const WEIGHT_WARM_UP = 0.05;
/** Between the seeds of epochs. */
const EPOCH_STRIDE = 7919;

/**
 * @returns where the search ended; its supernet is for the caller to close
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE, DATASET_SHAPE_MISMATCH, CANCELED
 */
export async function searchWidths(searched: Searched, options: SearchOptions): Promise<SearchState> {
  const { checkpoint } = options;
  const file = checkpoint && new CheckpointFile<SearchNotes>(checkpoint.path, checkpoint.identity);
  const known = (await file?.read()) ?? null;
  const state =
    known === null ? await SearchState.begin(searched, options) : await SearchState.restore(searched, options, known);
  try {
    await new SearchLoop(searched, options, new TrainingClock(options.length, known?.notes.seconds)).run(state, file);
    return state;
  } catch (error) {
    await state.supernet.close();
    throw error;
  }
}

class SearchLoop {
  readonly #searched: Searched;
  readonly #options: SearchOptions;
  readonly #clock: TrainingClock;
  readonly #samples: SearchSamples;

  constructor(searched: Searched, options: SearchOptions, clock: TrainingClock) {
    this.#searched = searched;
    this.#options = options;
    this.#clock = clock;
    this.#samples = searchSamples(options);
  }

  async run(state: SearchState, file: CheckpointFile<SearchNotes> | undefined): Promise<void> {
    const { warmUp, onEpoch } = this.#options;
    for (let epoch = state.course.length + 1; !this.#isOver(epoch, 0); epoch++) {
      const seen = await this.#epoch(epoch, state);
      if (seen === null) return;
      state.course.push(seen);
      const share = this.#clock.share(epoch, 1);
      if (share > warmUp && share < 1) await state.expand();
      await file?.write(state.saved(this.#clock.seconds));
      onEpoch?.(state.course.at(-1)!);
    }
  }

  #isOver(epoch: number, done: number): boolean {
    return this.#options.settle?.aborted === true || this.#clock.share(epoch, done) >= 1;
  }

  /** Null where there was no time for a step. */
  async #epoch(epoch: number, state: SearchState): Promise<SearchEpoch | null> {
    const { seed, temperature: range, learningRate, signal, onStep } = this.#options;
    const random = mulberry32(seed + EPOCH_STRIDE * epoch);
    const { supernet, choices } = state;
    const samples = this.#samples;
    const own = piecesOf(shuffled(samples.own, random), supernet.batch);
    const other = samples.other && piecesOf(shuffled(samples.other, random), supernet.batch);
    const steps = Math.min(own.length, other?.length ?? own.length);
    let [weightLoss, choiceLoss, done] = [0, 0, 0];
    let temperature = range.from;
    await supernet.quantize(state.latent);
    for (; done < steps && !this.#isOver(epoch, done / steps); done++) {
      throwIfCanceled(signal);
      const share = this.#clock.share(epoch, (done + 0.5) / steps);
      temperature = range.from + (range.to - range.from) * Math.min(share, 1);
      const rate = learningRate * rateAt({ kind: 'cosine', floor: 0 }, share, WEIGHT_WARM_UP);
      const stepSeed = Math.floor(random() * 2 ** 31);

      const pairs = drawPairs(choices, temperature, random);
      supernet.mix(pairs, state.affines);
      const learned = await supernet.step(own[done]!, stepSeed, pairs, state.affines);
      state.learn(supernet.gradient, learned.byAffines, rate);
      await supernet.quantize(state.latent);

      let judged = { pairs, ...learned };
      if (other !== null) {
        const others = drawPairs(choices, temperature, random);
        supernet.mix(others, state.affines);
        judged = { pairs: others, ...(await supernet.step(other[done]!, stepSeed + 1, others, state.affines)) };
      }
      state.choose(this.#byLogits(choices, judged.pairs, judged.byShares, temperature));

      weightLoss += learned.loss;
      choiceLoss += judged.loss;
      const secondsLeft = this.#clock.secondsLeft(epoch, (done + 1) / steps);
      const last = state.course.at(-1) ?? null;
      onStep?.({ epoch, share: Math.min(share, 1), secondsLeft, loss: choiceLoss / (done + 1), last });
    }
    if (done === 0) return null;
    const losses = { weightLoss: weightLoss / done, choiceLoss: choiceLoss / done };
    return { epoch, seconds: this.#clock.seconds, ...losses, temperature, ...this.#describe(choices) };
  }

  /** Gradient of the loss and of what budgets add to it. */
  #byLogits(
    choices: Choices,
    pairs: Pairs,
    byShares: ReadonlyMap<WidthId, readonly number[]>,
    temperature: number,
  ): Map<WidthId, Float64Array> {
    const { budgets, budgetWeight } = this.#options;
    const limits = budgets.map((budget) => budgetLoss(budget, choices, this.#searched.graph).gradient);
    return new Map(
      [...choices].map(([id, { logits }]) => {
        const own = pairGradient(pairs.get(id)!, byShares.get(id) ?? [0, 0], logits.length, temperature);
        const slope = (k: number) => limits.reduce((sum, gradient) => sum + (gradient.get(id)?.[k] ?? 0), 0);
        return [id, own.map((value, k) => value + budgetWeight * slope(k))];
      }),
    );
  }

  #describe(choices: Choices): Pick<SearchEpoch, 'choices' | 'costs'> {
    const { graph } = this.#searched;
    const counts = likeliestChannels(choices);
    return {
      choices: [...choices.values()].map(({ channels, logits }) => ({
        channels,
        probabilities: [...probabilities(logits)],
      })),
      costs: this.#options.budgets.map(({ terms, limit }) => costOf(terms, graph, counts) / limit),
    };
  }
}

function drawPairs(choices: Choices, temperature: number, random: () => number): Pairs {
  return new Map([...choices].map(([id, { logits }]) => [id, samplePair(logits, temperature, random)]));
}
